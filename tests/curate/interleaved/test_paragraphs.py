"""Lines become paragraphs; hyphens, headings, lists, listings and captions are told apart."""

from __future__ import annotations

import pytest

from mimovl.curate.interleaved.blocks import Block
from mimovl.curate.interleaved.layout import order_page
from mimovl.curate.interleaved.paragraphs import Hyphens, body_height, flow_blocks, is_caption, join_flows, join_lines
from mimovl.curate.interleaved.pdf_page import Segment


def read(*lines: tuple[str, float] | tuple[str, float, float], pitch: float = 12.0) -> list[tuple[str, str]]:
    """Kind and text of the blocks of lines, each given with the x it ends at (and its height)."""
    segments = []
    y = 0.0
    for words, end, *height in lines:
        tall = height[0] if height else 10.0
        segments.append(Segment(0, y, end, y + tall, words))
        y += pitch + tall - 10
    flows = order_page(segments)
    hyphens = Hyphens(words for words, *_ in lines)
    pieces = [piece for flow in flows for piece in flow_blocks(flow, 1, body_height([flows]), hyphens)]
    return [(block.kind, block.text) for block in join_flows(pieces, hyphens)]


def test_full_lines_join_and_a_short_one_ends_the_paragraph() -> None:
    lines = [("The first line goes on", 200.0), ("to a second that ends.", 120.0), ("Another begins here and", 200.0)]
    assert read(*lines, ("then ends.", 90.0)) == [
        ("text", "The first line goes on to a second that ends."),
        ("text", "Another begins here and then ends."),
    ]


def test_short_lines_keep_their_breaks() -> None:
    full = [("a line that is as long as the page", 300.0)] * 3
    code = [("int main() {", 60.0), ("return 0", 50.0), ("}", 8.0)]
    assert read(*full, ("ends.", 30.0), *code)[-1] == ("text", "int main() {\nreturn 0\n}")


def test_a_hyphen_at_the_end_of_a_line_goes_unless_the_word_has_one() -> None:
    hyphens = Hyphens(["a well-known case", "plain"])
    assert hyphens.join("an exam", "ple") == "an example"
    assert hyphens.join("the well", "known") == "the well-known"
    assert hyphens.join("Kullback", "Leibler") == "Kullback-Leibler"
    assert join_lines("an exam-", "ple", False, hyphens) == "an example"
    assert join_lines("5-", "6", False, hyphens) == "5- 6"


def test_chinese_lines_join_without_a_space() -> None:
    hyphens = Hyphens([])
    assert join_lines("命名管道", "是文件", False, hyphens) == "命名管道是文件"
    assert join_lines("使用", "Linux", False, hyphens) == "使用 Linux"


def test_large_type_and_numbered_lines_are_headings() -> None:
    body = [("a line that is as long as the page", 300.0)] * 4
    found = read(("Large title", 100.0, 16.0), *body, ("ends.", 30.0), ("2.1 The next part", 90.0), *body)
    assert [words for kind, words in found if kind == "heading"] == ["Large title", "2.1 The next part"]


def test_items_of_a_list_are_blocks_of_their_own() -> None:
    found = read(("• one item", 60.0), ("• another item", 80.0), ("1) a third", 60.0))
    assert [words for _, words in found] == ["• one item", "• another item", "1) a third"]


def test_a_paragraph_goes_on_in_the_next_column_behind_a_picture() -> None:
    pieces = [(Block("text", "It goes"), True), (Block("caption", "Figure 1: x"), False), (Block("text", "on."), False)]
    assert [block.text for block in join_flows(pieces, Hyphens([]))] == ["It goes on.", "Figure 1: x"]


def test_what_starts_large_is_no_continuation() -> None:
    pieces = [(Block("text", "It goes"), True), (Block("text", "On its own."), False)]
    assert len(join_flows(pieces, Hyphens([]))) == 2


@pytest.mark.parametrize("words", ["Figure 3: A dog", "Fig. 2. Results", "Table 1 Numbers", "图 3：结构", "表2 参数"])
def test_captions_are_told(words: str) -> None:
    assert is_caption(words)


@pytest.mark.parametrize("words", ["Figure 3 shows a dog", "Tables are made of wood", "图书馆", "In Figure 3: no"])
def test_sentences_about_figures_are_no_captions(words: str) -> None:
    assert not is_caption(words)


def test_no_lines_have_no_height() -> None:
    assert body_height([]) == 0
