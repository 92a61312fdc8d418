"""Rows and tables from where segments stand."""

from __future__ import annotations

from mimovl.curate.interleaved.pdf_page import Segment
from mimovl.curate.interleaved.tables import find_tables, rows_of


def cell(x: float, y: float, words: str) -> Segment:
    return Segment(x, y, x + 5 * len(words), y + 10, words)


def found(*segments: Segment, page_level: bool = False) -> list[list[list[str]]]:
    return [table.rows for table in find_tables(rows_of(segments), page_level=page_level)[0]]


def test_segments_of_one_line_are_one_row_from_the_left() -> None:
    rows = rows_of([cell(100, 0, "b"), cell(0, 1, "a"), cell(0, 20, "c")])
    assert [row.text for row in rows] == ["a b", "c"]
    assert rows[0].x0 == 0 and rows[0].x1 == 105


def test_exact_rows_share_a_baseline() -> None:
    assert [row.text for row in rows_of([cell(0, 0, "a"), cell(100, 3, "b")], exact=True)] == ["a", "b"]


def test_aligned_short_cells_are_a_table() -> None:
    cells = [cell(100 * c, 12 * r, f"{r}{c}") for r in range(3) for c in range(3)]
    assert found(*cells) == [[["00", "01", "02"], ["10", "11", "12"], ["20", "21", "22"]]]


def test_a_missing_cell_is_empty_and_a_second_line_belongs_to_its_cell() -> None:
    cells = [cell(0, 0, "a"), cell(100, 0, "b"), cell(200, 0, "c"), cell(0, 12, "d"), cell(200, 12, "e")]
    more = [cell(100, 24, "wrapped"), cell(0, 36, "f"), cell(100, 36, "g"), cell(200, 36, "h")]
    assert found(*cells, *more) == [[["a", "b", "c"], ["d", "wrapped", "e"], ["f", "g", "h"]]]


def test_long_lines_side_by_side_are_no_table() -> None:
    long = "a line of a column of prose, quite long"
    assert found(*[cell(x, 12 * r, long) for r in range(8) for x in (0, 300)], page_level=True) == []


def test_a_list_is_no_table() -> None:
    assert found(*[one for n in range(5) for one in (cell(0, 12 * n, f"{n}."), cell(30, 12 * n, "an item"))]) == []


def test_everything_is_in_a_table_or_left_over() -> None:
    segments = [cell(100 * c, 12 * r, f"{r}{c}") for r in range(3) for c in range(3)] + [cell(0, 90, "after it")]
    tables, left = find_tables(rows_of(segments), page_level=True)
    assert len(tables) == 1 and [one.text for one in left] == ["after it"]
