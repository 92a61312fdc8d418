"""Rows of segments, and the tables among them: consecutive rows whose gaps stand above each other, with short cells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mimovl.curate.interleaved.pdf_page import Segment

__all__ = ["Row", "Table", "find_tables", "rows_of"]

_MARKER = re.compile(r"^(?:[•‣▪●○◦∙·–—*+\-]|\(?\w{1,3}[.)、]|[①-⑳]|\d+(?:\.\d+)*\.?)$")
"""What stands before an item of a list or the title of a section; a column of these makes no table."""
_MAX_CELL = 40.0
"""Mean characters of a row's cells, full-width ones counted twice: above, it is prose."""
_MAX_CELL_OF_PAGE = 20.0
"""The same while columns of prose may still stand side by side."""
_INDEX_ROWS = 12
"""Rows of two cells from which a page is taken for one of two columns (an index), not for a table."""


@dataclass(slots=True)
class Row:
    """Segments on one line, from the left."""

    cells: list[Segment]
    y0: float
    y1: float

    @property
    def x0(self) -> float:
        """Where its first segment begins."""
        return self.cells[0].x0

    @property
    def x1(self) -> float:
        """Where its last segment ends."""
        return self.cells[-1].x1

    @property
    def text(self) -> str:
        """Its segments with a space between them."""
        if len(self.cells) == 1:
            return self.cells[0].text
        return " ".join(cell.text for cell in self.cells)

    @property
    def hyphen(self) -> bool:
        """Whether it ended in a hyphen."""
        return self.cells[-1].hyphen

    @property
    def height(self) -> float:
        """Of its type."""
        return self.y1 - self.y0 if len(self.cells) == 1 else max(cell.height for cell in self.cells)


@dataclass(slots=True)
class Table:
    """A table where it stands; each row has the same number of cells, empty ones included."""

    x0: float
    y0: float
    x1: float
    y1: float
    rows: list[list[str]]


def rows_of(segments: Sequence[Segment], *, exact: bool = False) -> list[Row]:
    """Segments gathered into lines by their height on the page, from the top.

    Args:
        segments: in any order.
        exact: only what stands on one baseline, as the cells of a table do and the lines of two columns seldom.
    """
    rows: list[Row] = []
    for segment in sorted(segments, key=lambda segment: (segment.y1, segment.x0)):
        height = segment.y1 - segment.y0
        if rows:
            row = rows[-1]
            # Baselines agree, or (for small raised type) most of it lies beside the line.
            shared = min(row.y1, segment.y1) - max(row.y0, segment.y0)
            if (segment.y1 - row.y1 < 0.15 * height) if exact else shared > 0.6 * min(height, row.y1 - row.y0):
                row.cells.append(segment)
                row.y0, row.y1 = min(row.y0, segment.y0), max(row.y1, segment.y1)
                continue
        rows.append(Row([segment], segment.y0, segment.y1))
    for row in rows:
        if len(row.cells) > 1:
            row.cells.sort(key=lambda cell: cell.x0)
    return rows


def find_tables(rows: Sequence[Row], *, page_level: bool) -> tuple[list[Table], list[Segment]]:
    """Tables, and the segments that are in none.

    Args:
        rows: lines from the top.
        page_level: of a whole page whose columns are not known yet: what may be two columns is left alone.
    """
    tables: list[Table] = []
    left: list[Segment] = []
    start = 0
    longest = _MAX_CELL_OF_PAGE if page_level else _MAX_CELL
    while start < len(rows):
        end, strips = _run(rows, start, longest)
        table = _table(rows[start:end], strips, page_level) if strips else None
        if table is None:
            left += rows[start].cells
            start += 1
        else:
            tables.append(table)
            start = end
    return tables, left


def _run(rows: Sequence[Row], start: int, longest: float) -> tuple[int, list[tuple[float, float]]]:
    """The end of the rows from ``start`` on that share white strips, and those strips."""
    if len(rows[start].cells) < 2 or not _is_short(rows[start], longest):
        return start + 1, []
    strips = _gaps(rows[start])
    end = start + 1
    while strips and end < len(rows):
        row, above = rows[end], rows[end - 1]
        if not _is_short(row, longest):
            break
        if row.y0 - above.y1 > 2.0 * above.height:
            break
        if len(row.cells) == 1 and not _continues(row, rows[start], strips):
            break
        shared = _shared(strips, row)
        if not shared or (len(row.cells) > 1 and len(shared) < (len(strips) + 1) // 2):
            break
        strips = shared
        end += 1
    return end, strips


def _is_short(row: Row, longest: float) -> bool:
    return sum(_width(cell.text) for cell in row.cells) <= longest * len(row.cells)


def _gaps(row: Row) -> list[tuple[float, float]]:
    return [(one.x1, two.x0) for one, two in zip(row.cells, row.cells[1:], strict=False) if two.x0 > one.x1]


def _shared(strips: Sequence[tuple[float, float]], row: Row) -> list[tuple[float, float]]:
    """What of each strip no cell of the row covers; less than a third of a line's height is none."""
    kept = []
    for low, high in strips:
        for cell in row.cells:
            if cell.x1 <= low or cell.x0 >= high:
                continue
            if cell.x0 <= low:
                low = cell.x1
            elif cell.x1 >= high:
                high = cell.x0
            else:
                low = high
        if high - low > 0.35 * row.height:
            kept.append((low, high))
    return kept


def _continues(row: Row, first: Row, strips: Sequence[tuple[float, float]]) -> bool:
    """Whether a lone segment is the second line of a cell that is not in the first column."""
    cell = row.cells[0]
    return cell.x0 >= strips[0][0] and any(abs(cell.x0 - other.x0) < row.height for other in first.cells[1:])


def _table(rows: Sequence[Row], strips: Sequence[tuple[float, float]], page_level: bool) -> Table | None:
    full = [row for row in rows if len(row.cells) > 1]
    if len(full) < (2 if len(strips) > 1 else 3):
        return None
    if page_level and len(strips) == 1 and len(full) >= _INDEX_ROWS:
        return None
    if sum(bool(_MARKER.match(row.cells[0].text.strip())) for row in full) > 0.6 * len(full) and len(strips) == 1:
        return None
    edges = [(low + high) / 2 for low, high in strips]
    table: list[list[str]] = []
    for row in rows:
        filled = [""] * (len(edges) + 1)
        for cell in row.cells:
            column = sum(cell.x0 >= edge for edge in edges)
            filled[column] = f"{filled[column]} {cell.text}".strip()
        if len(row.cells) == 1 and table:
            table[-1] = [f"{old} {new}".strip() for old, new in zip(table[-1], filled, strict=True)]
        else:
            table.append(filled)
    return Table(
        min(row.x0 for row in rows),
        min(row.y0 for row in rows),
        max(row.x1 for row in rows),
        max(row.y1 for row in rows),
        table,
    )


def _width(text: str) -> int:
    return len(text) if text.isascii() else sum(2 if char >= "\u2e80" else 1 for char in text)
