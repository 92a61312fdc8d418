"""Reading order of a page: columns are found by their gutter, tables by their aligned cells.

    segments ── tables out ──▶ gutter? ──▶ bands between what spans it ──▶ left column, right column, each again
                                 └─ none ──▶ lines from the top

The classic recursive cut (Nagy and Seth's X-Y tree) with one difference: a title or figure across both columns does not
hide the gutter, since a gutter may be crossed by some of a page's lines; each line that crosses ends the band above.
Every number below is a share of the type's height or of the region's width, so scale does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from mimovl.curate.interleaved.pdf_page import Segment
from mimovl.curate.interleaved.tables import Row, Table, find_tables, rows_of
from mimovl.types import Media

__all__ = ["Flow", "Item", "Placed", "order_page"]

_BIN = 2.0
"""Points of a bin in the search for a gutter."""
_MIN_SIDE = 3
"""Lines that a column must have at least."""
_MAX_CROSSING = 0.6
"""Share of lines that may cross a gutter."""
_MIN_GUTTER = 6.0
_MIN_WORDS = 12.0
"""Mean number of characters of a line in a column of prose; a full-width character counts twice."""
_MAX_DEPTH = 6


@dataclass(frozen=True, slots=True)
class Placed:
    """A picture where it stands on the page."""

    x0: float
    y0: float
    x1: float
    y1: float
    media: Media


Item = Segment | Table | Placed


@dataclass(slots=True)
class Flow:
    """What is read from top to bottom without leaving a column: lines, tables and pictures."""

    entries: list[Row | Table | Placed] = field(default_factory=list)
    x0: float = 0.0
    x1: float = 0.0


def order_page(segments: Sequence[Segment], pictures: Sequence[Placed] = ()) -> list[Flow]:
    """The flows of a page in the order they are read.

    Args:
        segments: the text of a page, in any order.
        pictures: the pictures of the page.
    """
    rows = rows_of(segments, exact=True)
    tables, left = find_tables(rows, page_level=True)
    return _order([*left, *tables, *pictures], 0)


def _order(items: list[Item], depth: int) -> list[Flow]:
    gutter = _gutter(items) if depth < _MAX_DEPTH else None
    if gutter is None:
        return [_flow(items)] if items else []
    flows: list[Flow] = []
    for spans, band in _bands(items, gutter):
        if spans:
            flows.append(_flow(band))
            continue
        flows += _order([item for item in band if item.x1 <= gutter + 1], depth + 1)
        flows += _order([item for item in band if item.x1 > gutter + 1], depth + 1)
    return flows


def _bands(items: list[Item], gutter: float) -> list[tuple[bool, list[Item]]]:
    """Runs of items that cross the gutter and runs of items beside it, from the top."""
    bands: list[tuple[bool, list[Item]]] = []
    for item in sorted(items, key=lambda item: (item.y0 + item.y1, item.x0)):
        spans = item.x0 < gutter - 1 and item.x1 > gutter + 1
        if not bands or bands[-1][0] != spans:
            bands.append((spans, []))
        bands[-1][1].append(item)
    settled: list[tuple[bool, list[Item]]] = []
    for spans, band in bands:
        if not spans and settled:
            # The short last line of an abstract lies left of the gutter, and belongs to what stands above it.
            right_top = min((item.y0 for item in band if item.x1 > gutter + 1), default=float("inf"))
            last = settled[-1][1][-1]
            while band and band[0].y1 <= right_top and 0 <= band[0].y0 - last.y1 < 0.8 * (band[0].y1 - band[0].y0):
                last = band.pop(0)
                settled[-1][1].append(last)
        if band and settled and settled[-1][0] == spans:
            settled[-1][1].extend(band)
        elif band:
            settled.append((spans, band))
    return settled


def _gutter(items: Sequence[Item]) -> float | None:
    """The x of the white strip between two columns of prose, or None."""
    if len(items) < 2 * _MIN_SIDE:
        return None
    x0, x1 = min(item.x0 for item in items), max(item.x1 for item in items)
    bins = int((x1 - x0) / _BIN) + 2
    if bins < 30:
        return None
    steps = [0] * (bins + 1)
    for item in items:
        steps[int((item.x0 - x0) / _BIN)] += 1
        steps[int((item.x1 - x0) / _BIN) + 1] -= 1
    covered = list(accumulate(steps))
    first, last = int(0.15 * bins), int(0.85 * bins)
    lowest = min(covered[first:last])
    if lowest > _MAX_CROSSING * len(items):
        return None
    # Runs of the least covered bins, the widest first.
    runs: list[tuple[int, int]] = []
    start = None
    for index in range(first, last + 1):
        low = index < last and covered[index] == lowest
        if low and start is None:
            start = index
        elif not low and start is not None:
            runs.append((index - start, start))
            start = None
    for length, start in sorted(runs, key=lambda run: (-run[0], run[1])):
        gutter = x0 + (start + length / 2) * _BIN
        if (length + 1) * _BIN >= _MIN_GUTTER and _is_gutter(items, gutter):
            return gutter
    return None


def _is_gutter(items: Sequence[Item], gutter: float) -> bool:
    """Whether prose stands on both sides, side by side."""
    left = [item for item in items if item.x1 <= gutter + 1]
    right = [item for item in items if item.x0 >= gutter - 1]
    if min(len(left), len(right)) < _MIN_SIDE:
        return False
    # A side may be columns itself.
    if not all(_is_prose(side) or _gutter(side) is not None for side in (left, right)):
        return False
    top = max(min(item.y0 for item in left), min(item.y0 for item in right))
    bottom = min(max(item.y1 for item in left), max(item.y1 for item in right))
    shorter = min(_extent(left), _extent(right))
    return bottom - top > 0.3 * shorter


def _extent(items: Sequence[Item]) -> float:
    return max(item.y1 for item in items) - min(item.y0 for item in items)


def _is_prose(items: Sequence[Item]) -> bool:
    """Whether much of a side stands in lines that fill it, as prose does and the cells of a table do not."""
    lines = [item for item in items if isinstance(item, Segment)]
    if not lines:
        return bool(items)
    wide = 0.7 * (max(line.x1 for line in lines) - min(line.x0 for line in lines))
    full = [_width(line.text) for line in lines if line.x1 - line.x0 >= wide]
    if len(full) < _MIN_SIDE or sum(full) < _MIN_WORDS * len(full):
        return False
    return sum(full) >= 0.35 * sum(_width(line.text) for line in lines)


def _width(text: str) -> int:
    """Characters, full-width ones counted twice."""
    return len(text) if text.isascii() else sum(2 if char >= "\u2e80" else 1 for char in text)


def _flow(items: Sequence[Item]) -> Flow:
    """Lines, tables and pictures of one column, from the top."""
    segments = [item for item in items if isinstance(item, Segment)]
    rows = rows_of(segments)
    tables, left = find_tables(rows, page_level=False)
    entries: list[Row | Table | Placed] = [*(rows_of(left) if tables else rows), *tables]
    entries += [item for item in items if not isinstance(item, Segment)]
    entries.sort(key=lambda entry: (entry.y0 + entry.y1, entry.x0))
    return Flow(entries, min(item.x0 for item in items), max(item.x1 for item in items))
