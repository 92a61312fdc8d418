"""Boxes from the forms data sets write them in, and to and from the pixels a model speaks of.

A box is x1, y1, x2, y2: edges in pixels of the upright picture, right and bottom exclusive, real numbers. Models speak
of whole pixels of the smart-resized picture, whose sides are multiples of 28 (MiMo-VL §2.2.3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from mimovl.data.image import smart_resize
from mimovl.errors import DataError
from mimovl.suggest import nearest

__all__ = ["FORMS", "Box", "Form", "from_resized", "read_box", "resized", "to_resized", "write_box"]

Box = tuple[float, float, float, float]
Form = Literal["xyxy", "xywh", "cxcywh", "unit", "thousandths", "yxyx_thousandths", "voc", "polygon"]
FORMS: tuple[Form, ...] = ("xyxy", "xywh", "cxcywh", "unit", "thousandths", "yxyx_thousandths", "voc", "polygon")
"""Corners; corner and sides (COCO); centre and sides as parts of the picture (YOLO); corners from 0 to 1; from 0 to
1000; the same with y first (Gemini); one-based inclusive pixels (the original VOC); corner points of an outline."""


def read_box(values: Any, form: Form, size: tuple[int, int]) -> Box:
    """A box as edges in pixels, exactly as written: nothing is rounded, mended or cut.

    Args:
        values: four numbers, or for ``polygon`` x, y, x, y, … or points, or a list of such outlines (COCO).
        form: how they are meant.
        size: width and height of the picture, pixels.

    Raises:
        DataError: not so many numbers, or no such form.
    """
    width, height = size
    if form == "polygon":
        return _around(values)
    if form not in FORMS:
        raise DataError(f"no box form {form!r}; there are {', '.join(FORMS)}{nearest(str(form), FORMS)}")
    a, b, c, d = _four(values)
    if form == "xywh":
        return a, b, a + c, b + d
    if form == "cxcywh":
        return (a - c / 2) * width, (b - d / 2) * height, (a + c / 2) * width, (b + d / 2) * height
    if form == "unit":
        return a * width, b * height, c * width, d * height
    if form == "thousandths":
        return a * width / 1000, b * height / 1000, c * width / 1000, d * height / 1000
    if form == "yxyx_thousandths":
        return b * width / 1000, a * height / 1000, d * width / 1000, c * height / 1000
    if form == "voc":
        return a - 1, b - 1, c, d
    return a, b, c, d


def write_box(box: Box, form: Form, size: tuple[int, int]) -> tuple[float, ...]:
    """The inverse of :func:`read_box`; a polygon has the four corners, clockwise from the top left.

    Raises:
        DataError: no such form.
    """
    width, height = size
    x1, y1, x2, y2 = box
    if form == "xyxy":
        return box
    if form == "xywh":
        return x1, y1, x2 - x1, y2 - y1
    if form == "cxcywh":
        return (x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height
    if form == "unit":
        return x1 / width, y1 / height, x2 / width, y2 / height
    if form == "thousandths":
        return x1 * 1000 / width, y1 * 1000 / height, x2 * 1000 / width, y2 * 1000 / height
    if form == "yxyx_thousandths":
        return y1 * 1000 / height, x1 * 1000 / width, y2 * 1000 / height, x2 * 1000 / width
    if form == "voc":
        return x1 + 1, y1 + 1, x2, y2
    if form == "polygon":
        return x1, y1, x2, y1, x2, y2, x1, y2
    raise DataError(f"no box form {form!r}; there are {', '.join(FORMS)}{nearest(str(form), FORMS)}")


def resized(size: tuple[int, int], max_pixels: int = 4096 * 28 * 28) -> tuple[int, int]:
    """Width and height after smart-resize.

    Raises:
        MediaError: the picture is too long for its breadth.
    """
    height, width = smart_resize(size[1], size[0], max_pixels=max_pixels)
    return width, height


def to_resized(box: Box, size: tuple[int, int], new_size: tuple[int, int]) -> list[int]:
    """Whole pixels of the resized picture: edges rounded, inside it, at least one pixel wide and high."""
    edges = []
    for axis in (0, 1):
        first, last = (round(box[end] * new_size[axis] / size[axis]) for end in (axis, axis + 2))
        first = min(max(first, 0), new_size[axis] - 1)
        edges.append((first, max(first + 1, min(last, new_size[axis]))))
    return [edges[0][0], edges[1][0], edges[0][1], edges[1][1]]


def from_resized(box: Sequence[float], size: tuple[int, int], new_size: tuple[int, int]) -> Box:
    """A model's box in pixels of the original picture."""
    across, down = size[0] / new_size[0], size[1] / new_size[1]
    x1, y1, x2, y2 = box
    return x1 * across, y1 * down, x2 * across, y2 * down


def _four(values: Any) -> tuple[float, float, float, float]:
    numbers = _numbers(values)
    if len(numbers) != 4:
        raise DataError(f"a box has four numbers, this one {len(numbers)}: {str(values)[:80]}")
    return numbers[0], numbers[1], numbers[2], numbers[3]


def _around(values: Any) -> Box:
    numbers = _numbers(values)
    if len(numbers) < 6 or len(numbers) % 2:
        raise DataError(f"an outline has x and y of three points or more, this one {len(numbers)} numbers")
    across, down = numbers[::2], numbers[1::2]
    if not all(map(math.isfinite, numbers)):
        return math.nan, math.nan, math.nan, math.nan  # min and max would hide it
    return min(across), min(down), max(across), max(down)


def _numbers(values: Any) -> list[float]:
    """All numbers of nested lists, in order."""
    if isinstance(values, bool) or isinstance(values, str | bytes) or values is None:
        raise DataError(f"a box is made of numbers, not of {str(values)[:40]!r}")
    if isinstance(values, int | float):
        return [float(values)]
    try:
        return [number for value in values for number in _numbers(value)]
    except (TypeError, RecursionError):
        raise DataError(f"a box is made of numbers, not of {type(values).__name__}") from None
