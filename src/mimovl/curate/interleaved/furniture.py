"""Running headers, footers and page numbers of a document's pages: found by what repeats, never by place alone."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from mimovl.curate.interleaved.pdf_page import Segment

__all__ = ["without_furniture"]

_MARGIN = 0.14
"""The share of a page's height, at the top and at the bottom, in which headers and footers stand."""
_SAME_HEIGHT = 3.0
"""Points by which a header may move from page to page."""
_MIN_PAGES = 3
_DIGITS = re.compile(r"\d+")
_ROMAN = re.compile(r"^[ivxlcdm]+$", re.IGNORECASE)
_PAGE_NUMBER = re.compile(
    r"^[\s\-–—·•|\[(]*(?:page\s+|p\.\s*|第\s*)?(\d{1,5}|[ivxlcdm]{1,8})(?:\s*(?:/|of|页\s*共)\s*\d{1,5})?\s*页?[\s\-–—·•|\])]*$",
    re.IGNORECASE,
)


def without_furniture(pages: Sequence[Sequence[Segment]], heights: Sequence[float]) -> list[list[Segment]]:
    """The segments of each page less what runs along the margins of several.

    A text goes when it stands at the same height of three pages or more with nothing but its digits changed, or when
    it is a page number that counts up with the pages (two pages suffice), or is the last line of a page and no more
    than a number.

    Args:
        pages: segments of consecutive pages.
        heights: of the pages, in points.
    """
    seen: dict[str, list[tuple[float, int]]] = defaultdict(list)
    counted: dict[tuple[bool, int], set[int]] = defaultdict(set)
    margins: list[list[tuple[Segment, str, bool, int | None]]] = []
    for number, (segments, height) in enumerate(zip(pages, heights, strict=True)):
        found = []
        for segment in segments:
            top = segment.y1 < _MARGIN * height
            if not top and segment.y0 < (1 - _MARGIN) * height:
                continue
            place = segment.y0 if top else height - segment.y1
            key = ("^" if top else "_") + _DIGITS.sub("#", segment.text.strip())
            value = _value(segment.text)
            found.append((segment, key, top, value))
            seen[key].append((place, number))
            if value is not None:
                counted[top, value - number].add(number)
        margins.append(found)
    repeated = {key: _levels(places) for key, places in seen.items()}
    kept: list[list[Segment]] = []
    for segments, found, height in zip(pages, margins, heights, strict=True):
        number = len(kept)
        drop: set[int] = set()
        numbers: list[Segment] = []
        for segment, key, top, value in found:
            place = segment.y0 if top else height - segment.y1
            runs = any(abs(place - level) <= _SAME_HEIGHT for level in repeated[key])
            counts = value is not None and len(counted[top, value - number]) >= 2
            if runs or counts or (value is not None and _stands_alone(segment, segments)):
                drop.add(id(segment))
                if counts:
                    numbers.append(segment)
        for segment, _, _, _ in found:  # what shares its line with the page's number names the chapter
            if any(_same_line(segment, one) and _is_outermost(one, segments) for one in numbers):
                drop.add(id(segment))
        kept.append([segment for segment in segments if id(segment) not in drop])
    return kept


def _same_line(one: Segment, two: Segment) -> bool:
    return min(one.y1, two.y1) - max(one.y0, two.y0) > 0.5 * min(one.height, two.height)


def _is_outermost(number: Segment, segments: Sequence[Segment]) -> bool:
    """Whether nothing stands above (or nothing below) the line of a page's number."""
    above = any(other.y1 <= number.y0 for other in segments)
    below = any(other.y0 >= number.y1 for other in segments)
    return not (above and below)


def _levels(places: Sequence[tuple[float, int]]) -> list[float]:
    """Heights at which a text stands on enough different pages."""
    levels: list[float] = []
    for place, _ in places:
        if not any(abs(place - level) <= _SAME_HEIGHT / 2 for level in levels):
            pages = {page for other, page in places if abs(other - place) <= _SAME_HEIGHT}
            if len(pages) >= _MIN_PAGES:
                levels.append(place)
    return levels


def _value(text: str) -> int | None:
    """The number of a line that is a page number and nothing else."""
    match = _PAGE_NUMBER.match(text)
    if not match:
        return None
    digits = match.group(1)
    return _roman(digits.lower()) if _ROMAN.match(digits) else int(digits)


def _roman(text: str) -> int:
    values = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100, "d": 500, "m": 1000}
    total = 0
    for one, following in zip(text, [*text[1:], ""], strict=True):
        total += -values[one] if following and values[one] < values[following] else values[one]
    return total


def _stands_alone(number: Segment, segments: Sequence[Segment]) -> bool:
    """Whether a number is the lowest line of the page, alone, with a clear space above it."""
    gap = 1.2 * number.height
    return all(other is number or other.y1 < number.y0 - gap for other in segments)
