"""What a PDF page shows, by way of PDFium: runs of text with their boxes, and pictures. No order yet.

PDFium gives the text in the order it was written into the file, with its own line breaks. A line of it is cut here
wherever the pen jumped by more than a wide space: what is left are segments, each within one column or cell.
Only two boxes are asked for at each space (asking for each character would take most of the time).
Lengths are points from the top left corner of the page as it is shown.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

from mimovl.curate.interleaved.blocks import clean_text
from mimovl.errors import MissingExtraError

__all__ = ["MAX_PAGE_CHARACTERS", "PageSize", "Segment", "page_segments", "page_size", "pdfium", "place"]

MAX_PAGE_CHARACTERS = 200_000
"""A page that holds more is no page a person reads; what is beyond is not looked at."""
_WIDE_SPACE = 1.1
"""Times the height of the type: above it, a space is a jump. Spaces of justified text stay below 0.9."""
_HYPHEN = "\ufffe"
"""PDFium's mark for a hyphen at the end of a line; the line break is swallowed."""


Corners = tuple[float, float, float, float]
"""x0, y0, x1, y1 of a box, from the top left."""


@dataclass(slots=True)
class Segment:
    """A run of text on one line. ``hyphen``: it ended in a hyphen, no longer in ``text``."""

    x0: float
    y0: float
    x1: float
    y1: float
    text: str
    hyphen: bool = False

    @property
    def height(self) -> float:
        """Of the type, from the font's ascent to its descent."""
        return self.y1 - self.y0


@dataclass(frozen=True, slots=True)
class PageSize:
    """A page's box in its own coordinates, by how many quarter turns it is shown, and its shown size."""

    left: float
    bottom: float
    right: float
    top: float
    quarter_turns: int

    @property
    def width(self) -> float:
        """As shown."""
        return self.top - self.bottom if self.quarter_turns % 2 else self.right - self.left

    @property
    def height(self) -> float:
        """As shown."""
        return self.right - self.left if self.quarter_turns % 2 else self.top - self.bottom


def pdfium() -> tuple[Any, Any]:
    """The modules ``pypdfium2`` and ``pypdfium2.raw``.

    Raises:
        MissingExtraError: not installed.
    """
    try:
        import pypdfium2
        import pypdfium2.raw
    except ImportError:
        raise MissingExtraError("pypdfium2", "curate", "reading PDF") from None
    return pypdfium2, pypdfium2.raw


def page_size(page: Any) -> PageSize:
    """Where the page lies in its own coordinates."""
    left, bottom, right, top = page.get_bbox()
    return PageSize(left, bottom, right, top, (page.get_rotation() // 90) % 4)


def place(size: PageSize, left: float, bottom: float, right: float, top: float) -> tuple[float, float, float, float]:
    """A box of page coordinates as x0, y0, x1, y1 from the top left of the shown page."""
    if size.quarter_turns == 0:
        return left - size.left, size.top - top, right - size.left, size.top - bottom
    if size.quarter_turns == 1:
        return bottom - size.bottom, left - size.left, top - size.bottom, right - size.left
    if size.quarter_turns == 2:
        return size.right - right, bottom - size.bottom, size.right - left, top - size.bottom
    return size.top - top, size.right - right, size.top - bottom, size.right - left


def page_segments(page: Any, size: PageSize) -> list[Segment]:
    """All text of a page as segments, in the order PDFium found it; text that runs up or down the page is left out."""
    _, raw = pdfium()
    textpage = page.get_textpage()
    try:
        number = min(textpage.count_chars(), MAX_PAGE_CHARACTERS)
        if number < 1:
            return []
        text = textpage.get_text_range(0, number)
        if len(text) != number:  # a character PDFium cannot put in UTF-16: one by one, so that places stay right
            codes = (raw.FPDFText_GetUnicode(textpage.raw, index) for index in range(number))
            text = "".join(chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else " " for code in codes)
        return _segments(raw, textpage.raw, text, size)
    finally:
        textpage.close()


def _segments(raw: Any, handle: Any, text: str, size: PageSize) -> list[Segment]:
    box = raw.FS_RECTF()
    pointer = ctypes.byref(box)
    # The same function without a check of its arguments' types, which takes twice as long as the call: a thousand
    # calls a page. PYFUNCTYPE keeps the interpreter's lock, as PDFium must not be entered by two threads.
    address = ctypes.cast(raw.FPDFText_GetLooseCharBox, ctypes.c_void_p).value or 0
    ask = ctypes.PYFUNCTYPE(ctypes.c_int)(address)
    handle = ctypes.c_void_p(ctypes.cast(handle, ctypes.c_void_p).value)
    upright = size.quarter_turns == 0
    found: list[Segment] = []

    def corners(index: int) -> Corners:
        ask(handle, index, pointer)
        if upright:
            return box.left - size.left, size.top - box.top, box.right - size.left, size.top - box.bottom
        return place(size, box.left, box.bottom, box.right, box.top)

    def add(start: int, end: int, hyphen: bool) -> None:
        """Segments of the characters from ``start`` to ``end``, which begin and end with ink."""
        first, last = corners(start), corners(end - 1)
        height = first[3] - first[1]
        climb = abs(last[1] - first[1])
        if climb > 1.5 * max(height, last[3] - last[1]) and abs(last[0] - first[0]) < 0.3 * climb:
            return  # it runs up or down the page
        wide = _WIDE_SPACE * height if height > 0 else 1e9
        begin = start
        space = text.find(" ", start, end)
        while space >= 0:
            after = space + 1
            while text[after] == " ":
                after += 1
            # The space itself is no help: it may be drawn at either end of the jump.
            if upright:
                ask(handle, space - 1, pointer)
                gap, rise = -box.right, -box.bottom
                ask(handle, after, pointer)
                gap += box.left
                rise += box.bottom
            else:
                one, two = corners(space - 1), corners(after)
                gap, rise = two[0] - one[2], two[3] - one[3]
            if gap > wide or gap < -2 * height or not -height < 2 * rise < height:
                put(begin, space, first, corners(space - 1), False)
                first = corners(after)
                begin = after
                height = first[3] - first[1]
                wide = _WIDE_SPACE * height if height > 0 else 1e9
            space = text.find(" ", after, end)
        put(begin, end, first, last, hyphen)

    def put(start: int, end: int, first: Corners, last: Corners, hyphen: bool) -> None:
        x0, x1 = first[0], last[2]
        y0, y1 = min(first[1], last[1]), max(first[3], last[3])
        if x1 > x0 and y1 > y0 and x1 > 0 and y1 > 0 and x0 < size.width and y0 < size.height:
            words = clean_text(text[start:end])
            if words and not words.isspace():
                found.append(Segment(x0, y0, x1, y1, words, hyphen))

    position = 0
    for line in text.split("\r\n"):
        begin, position = position, position + len(line) + 2
        pieces = line.split(_HYPHEN)
        for number, piece in enumerate(pieces, 1):
            start, begin = begin, begin + len(piece) + 1
            bare = piece.lstrip()
            start += len(piece) - len(bare)
            bare = bare.rstrip()
            if bare:
                add(start, start + len(bare), number < len(pieces))
    return found
