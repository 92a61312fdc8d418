"""What runs along the margins of several pages goes; what stands there once stays."""

from __future__ import annotations

from mimovl.curate.interleaved.furniture import without_furniture
from mimovl.curate.interleaved.pdf_page import Segment

HEIGHT = 800.0


def at(y: float, words: str, x: float = 60.0) -> Segment:
    return Segment(x, y, x + 5 * len(words), y + 10, words)


def left(pages: list[list[Segment]]) -> list[list[str]]:
    return [[one.text for one in page] for page in without_furniture(pages, [HEIGHT] * len(pages))]


def test_a_header_with_changing_digits_and_page_numbers_go() -> None:
    pages = [[at(30, f"Section {n} of the book"), at(400, f"body {n}"), at(770, str(n + 7))] for n in range(4)]
    assert left(pages) == [[f"body {n}"] for n in range(4)]


def test_headers_of_left_and_right_pages_alternate_and_go() -> None:
    pages = [[at(30, "The Book" if n % 2 else "The Chapter"), at(400, f"body {n}")] for n in range(8)]
    assert left(pages) == [[f"body {n}"] for n in range(8)]


def test_a_chapter_beside_the_page_number_goes_with_it() -> None:
    names = ["One", "Two", "Three", "Four"]
    pages = [[at(30, f"Chapter {name}"), at(30, str(n + 1), 500), at(400, "body")] for n, name in enumerate(names)]
    assert left(pages) == [["body"]] * 4


def test_roman_numbers_and_words_around_them_count_too() -> None:
    pages = [[at(400, "body"), at(770, f"- {number} -")] for number in ("iv", "v", "vi")]
    assert left(pages) == [["body"]] * 3
    assert left([[at(400, "正文"), at(770, f"第 {n} 页")] for n in (1, 2)]) == [["正文"]] * 2


def test_what_stands_in_the_margin_once_stays() -> None:
    pages = [[at(30, "A title"), at(400, "body")], [at(40, "First lines of text"), at(400, "body")], [at(760, "note")]]
    assert left(pages) == [["A title", "body"], ["First lines of text", "body"], ["note"]]


def test_a_repeated_line_in_the_middle_of_the_page_stays() -> None:
    assert left([[at(400, "the refrain")]] * 5) == [["the refrain"]] * 5


def test_a_number_under_a_table_stays() -> None:
    assert left([[at(745, "40"), at(757, "2")]]) == [["40", "2"]]
