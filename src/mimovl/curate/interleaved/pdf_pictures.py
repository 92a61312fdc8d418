"""Pictures of a PDF page as encoded bytes: the file's own JPEG where that is what the page shows, else a PNG.

Drawings (lines, curves, shadings) are no pictures to PDFium and are not seen; nor are pictures written inside a page's
instructions (``BI … EI``), which are a few kilobytes at most.
"""

from __future__ import annotations

import ctypes
import io
from collections import Counter
from collections.abc import Iterator
from typing import Any

from PIL import Image

from mimovl.curate.interleaved.blocks import picture
from mimovl.curate.interleaved.layout import Placed
from mimovl.curate.interleaved.pdf_page import PageSize, pdfium, place
from mimovl.errors import MediaError

__all__ = ["page_pictures"]

_MAX_PIXELS = 64_000_000
_MAX_OBJECTS = 20_000
"""Things on a page that are looked at; forms within forms count each time, so a page cannot multiply itself."""
_MAX_DEPTH = 4
_SPECK = 16
"""Pixels: a smaller side is a bullet or a rule, never a figure."""
_BACKGROUND = 0.75
"""Share of the page from which a picture under the text is its background."""

Matrix = tuple[float, float, float, float, float, float]


def page_pictures(
    document: Any, page: Any, size: PageSize, *, has_text: bool, left_out: Counter[str], masks: bool = True
) -> list[Placed]:
    """The pictures of a page, where they stand.

    Args:
        document: an open ``pypdfium2.PdfDocument``.
        page: one of its pages.
        size: of the page.
        has_text: whether the page has text; then a picture under all of it is background, the scan the text was read
            from or decoration.
        left_out: counts by reason what was not taken: speck, picture_too_large, background, damaged_picture,
            outside_page, and the reasons of ``data.image``.
        masks: whether the file has pictures seen through a mask; without, a JPEG need not be drawn to be known.
    """
    helper, raw = pdfium()
    found: list[Placed] = []
    for handle, matrix in _images(raw, page.raw):
        image = helper.PdfObject(handle, page=page, pdf=document)
        try:
            box = _box(image, matrix, size)
            width, height = image.get_px_size()
            if min(width, height) < _SPECK:
                left_out["speck"] += 1
            elif width * height > _MAX_PIXELS:
                left_out["picture_too_large"] += 1
            elif box[2] <= 0 or box[3] <= 0 or box[0] >= size.width or box[1] >= size.height:
                left_out["outside_page"] += 1
            elif has_text and _area(box, size) > _BACKGROUND * size.width * size.height:
                left_out["background"] += 1
            else:
                found.append(Placed(*box, picture(_encoded(image, masks))))
        except MediaError as error:
            left_out[error.reason] += 1
        except (helper.PdfiumError, ValueError, OSError, MemoryError):
            left_out["damaged_picture"] += 1
    return found


def _images(raw: Any, page: Any) -> Iterator[tuple[Any, Matrix]]:
    """Handles of a page's images, those inside forms included, with the matrix of the form they stand in."""
    identity: Matrix = (1, 0, 0, 1, 0, 0)
    waiting: list[tuple[Any, Any, Any, int, Matrix]] = [
        (raw.FPDFPage_CountObjects, raw.FPDFPage_GetObject, page, 0, identity)
    ]
    looked_at = 0
    while waiting:
        count, get, holder, depth, matrix = waiting.pop(0)
        for index in range(max(0, count(holder))):
            looked_at += 1
            if looked_at > _MAX_OBJECTS:
                return
            handle = get(holder, index)
            kind = raw.FPDFPageObj_GetType(handle) if handle else 0
            if kind == raw.FPDF_PAGEOBJ_IMAGE:
                yield handle, matrix
            elif kind == raw.FPDF_PAGEOBJ_FORM and depth < _MAX_DEPTH:
                own = raw.FS_MATRIX()
                raw.FPDFPageObj_GetMatrix(handle, ctypes.byref(own))
                inner = _times((own.a, own.b, own.c, own.d, own.e, own.f), matrix)
                waiting.append((raw.FPDFFormObj_CountObjects, raw.FPDFFormObj_GetObject, handle, depth + 1, inner))


def _times(first: Matrix, then: Matrix) -> Matrix:
    a, b, c, d, e, f = first
    g, h, i, j, k, m = then
    return a * g + b * i, a * h + b * j, c * g + d * i, c * h + d * j, e * g + f * i + k, e * h + f * j + m


def _box(image: Any, matrix: Matrix, size: PageSize) -> tuple[float, float, float, float]:
    left, bottom, right, top = image.get_bounds()
    a, b, c, d, e, f = matrix
    corners = [(x * a + y * c + e, x * b + y * d + f) for x in (left, right) for y in (bottom, top)]
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    return place(size, min(xs), min(ys), max(xs), max(ys))


def _area(box: tuple[float, float, float, float], size: PageSize) -> float:
    return max(0.0, min(box[2], size.width) - max(box[0], 0)) * max(0.0, min(box[3], size.height) - max(box[1], 0))


def _encoded(image: Any, masks: bool) -> bytes:
    """The bytes of a picture as shown: turned, mirrored and seen through its mask."""
    matrix = image.get_matrix()
    upright = matrix.a > 0 and matrix.d > 0 and abs(matrix.b) + abs(matrix.c) < 1e-3 * (matrix.a + matrix.d)
    filters = image.get_filters()
    jpeg = upright and filters[-1:] == ["DCTDecode"] and set(filters[:-1]) <= set(image.SIMPLE_FILTERS)
    if jpeg and not masks:
        return bytes(image.get_data(decode_simple=True))
    bitmap = image.get_bitmap(render=True, scale_to_original=True)
    shown = bitmap.to_pil()
    opaque = shown.mode != "RGBA" or shown.getchannel("A").getextrema()[0] == 255
    if jpeg and opaque:
        return bytes(image.get_data(decode_simple=True))
    if not opaque:
        shown = Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown)
    buffer = io.BytesIO()
    shown.convert("RGB").save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()
