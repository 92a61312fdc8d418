"""Reading order of generated pages, whatever the order they were written in."""

from __future__ import annotations

import random

import pytest

from mimovl.curate.interleaved.layout import order_page
from mimovl.curate.interleaved.pdf_document import open_pdf, read_pdf
from mimovl.curate.interleaved.pdf_page import Segment
from mimovl.curate.interleaved.tables import Row, Table
from tests.curate.interleaved.pdf_pages import draw_page, order_kept, tokens, write_pdf


@pytest.mark.parametrize("written", ["natural", "shuffled", "across"])
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("columns", [1, 2])
def test_pages_are_read_as_a_person_reads_them(columns: int, language: str, written: str) -> None:
    rng = random.Random(f"test {columns} {language} {written}")
    pages = [draw_page(rng, columns=columns, language=language, number=n + 1) for n in range(8)]
    pdf = open_pdf(write_pdf(pages, rng, language=language, written=written), name="t")
    (piece,) = read_pdf(pdf)
    pdf.close()
    kept = [
        order_kept(page.tokens(), tokens([block for block in piece.blocks if block.page == number]))
        for number, page in enumerate(pages, 1)
    ]
    assert sum(kept) / len(kept) >= 0.98
    assert min(kept) >= 0.85
    assert not any("Annals of Drawn Pages" in block.text for block in piece.blocks), "a running header"


def line(x0: float, y0: float, words: str, width: float = 200.0) -> Segment:
    return Segment(x0, y0, x0 + width, y0 + 10, words)


def texts(segments: list[Segment]) -> list[str]:
    return [
        entry.text
        for flow in order_page(segments)
        for entry in flow.entries
        if isinstance(entry, Row)
    ]  # fmt: skip


def test_a_title_across_both_columns_comes_first_and_hides_no_gutter() -> None:
    left = [line(50, 100 + 12 * n, f"left line number {n}") for n in range(10)]
    right = [line(280, 105 + 12 * n, f"right line number {n}") for n in range(10)]
    title = line(50, 60, "a title across both of the columns", 430)
    assert texts([*right, *left, title]) == [one.text for one in (title, *left, *right)]


def test_three_columns_are_read_one_after_another() -> None:
    columns = [
        [line(50 + 170 * c, 100 + 12 * n, f"column {c} has this as its line {n}", 150) for n in range(9)]
        for c in range(3)
    ]
    expected = [one.text for column in columns for one in column]
    assert texts([one for row in zip(*columns, strict=True) for one in row]) == expected


def test_what_spans_in_the_middle_ends_the_columns_above_it() -> None:
    above = [line(x, 100 + 12 * n, f"this stands above at {x}, line {n}") for x in (50, 280) for n in range(5)]
    below = [line(x, 200 + 12 * n, f"this stands below at {x}, line {n}") for x in (50, 280) for n in range(5)]
    span = line(50, 180, "this line goes across", 430)
    assert texts([*below, span, *above]) == [one.text for one in (*above, span, *below)]


def test_a_table_across_a_page_of_prose_stays_a_table() -> None:
    prose = [line(50, 60 + 12 * n, "a line of prose that fills the page from side to side", 430) for n in range(5)]
    cells = [line(50 + 110 * c, 140 + 14 * r, f"r{r}c{c}", 30) for r in range(4) for c in range(4)]
    (flow,) = order_page([*cells, *prose])
    tables = [entry for entry in flow.entries if isinstance(entry, Table)]
    assert [table.rows for table in tables] == [[[f"r{r}c{c}" for c in range(4)] for r in range(4)]]


def test_no_text_is_no_flow() -> None:
    assert order_page([]) == []
