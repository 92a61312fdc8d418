"""A picture as little grey as a hash needs: means of 8 × 8, 4 × 4 or 2 × 2 pixels, from a decode at that scale.

A JPEG gives its 1/8 scale nearly free: the mean of each block is its DC coefficient, so no inverse transform is run.
What remains is reading the Huffman codes, which nobody escapes, except in a progressive JPEG, whose DC coefficients
stand together at the beginning (``jpeg_header.dc_scan``; libjpeg-turbo smooths them a little). Every other format is
decoded and averaged to the same scale.

``simplejpeg`` (extra ``curate``) decodes a fifth faster than PIL and to the same pixels; without it PIL does.
"""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from mimovl.curate.decode import decode
from mimovl.curate.jpeg_header import MAX_SCANS, JpegHeader, dc_scan, num_scans, read_header
from mimovl.picture import MAX_HEADER_PIXELS

__all__ = ["LEAST_SIDE", "Grey", "read_grey", "reduction", "turned"]

Grey = npt.NDArray[np.uint8]

LEAST_SIDE = 64
"""The shorter side keeps at least so many cells."""
_EXIF_TURNS = {1: 0, 2: 4, 3: 2, 4: 6, 5: 5, 6: 3, 7: 7, 8: 1}
"""EXIF orientation → number of the orientation (see ``turned``) that sets it upright."""


def read_grey(data: bytes, *, name: str = "image", dc_only: bool = True, least: int = LEAST_SIDE) -> Grey:
    """Brightness of a picture in cells.

    Args:
        data: the encoded picture.
        name: used in errors.
        dc_only: read progressive JPEGs no further than their DC scan where 1/8 scale is wanted.
        least: cells that the shorter side has at least, where the picture has so many pixels.

    Returns:
        Means of square cells (of 4 and 2 pixels nearly so), upright, shape (cells down, cells across); the cell's side
        is :func:`reduction`.

    Raises:
        MediaError: it cannot be decoded; ``reason`` says why.
    """
    header = read_header(data)
    if header is not None and header.is_grey_or_ycc and header.process <= 2:
        cells = _jpeg_cells(data, header, dc_only, least)
        if cells is not None:
            return turned(cells, _EXIF_TURNS[header.orientation])
    grey = decode(data, name=name).image.convert("L")
    factor = reduction(*grey.size, least)
    return np.asarray(grey.reduce(factor) if factor > 1 else grey)


def reduction(width: int, height: int, least: int = LEAST_SIDE) -> int:
    """Side in pixels of the cells a picture of this size is averaged to: 8, 4, 2 or 1."""
    shorter = min(width, height)
    return next((factor for factor in (8, 4, 2) if shorter >= least * factor), 1)


def turned(cells: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """A picture in one of its eight orientations: 0–3 quarter turns to the left, 4–7 the same after mirroring."""
    if orientation == 0:
        return cells
    return np.rot90(cells[:, ::-1] if orientation >= 4 else cells, orientation % 4)


def _jpeg_cells(data: bytes, header: JpegHeader, dc_only: bool, least: int) -> Grey | None:
    """The first component at reduced scale, as it is stored; None where it should be decoded the ordinary way."""
    width, height = header.width, header.height
    if not 0 < width * height <= MAX_HEADER_PIXELS:
        return None
    factor = reduction(width, height, least)
    part = dc_scan(data, header) if dc_only and factor == 8 else None
    if part is None and header.process == 2 and num_scans(data) > MAX_SCANS:
        return None
    size = -(-height // factor), -(-width // factor)
    simplejpeg = _simplejpeg()
    try:
        if simplejpeg is None:
            image = Image.open(io.BytesIO(part or data), formats=("JPEG",))
            image.draft("L", (width // factor, height // factor))
            cells: Grey = np.asarray(image.convert("L"))
        else:
            cells = simplejpeg.decode_jpeg(part or data, "GRAY", min_height=size[0], min_width=size[1])[:, :, 0]
    except (OSError, ValueError, SyntaxError):
        return None  # the ordinary way knows what is wrong with it, if anything
    return cells if cells.shape == size else None


@cache
def _simplejpeg() -> Any:
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg
