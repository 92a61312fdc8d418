"""Stocks and measures for tests of drawn pages."""

import random
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from mimovl.curate.ocr.canvas import INK, Box, Canvas, Element
from mimovl.curate.ocr.faces import Face, Faces, find_faces
from mimovl.curate.ocr.setting import Stock

PILLOW = Stock(Faces((Face("", name="Pillow"),), ()))
"""Pages in Pillow's own face alone: the same on every machine."""
needs_chinese = pytest.mark.skipif(not find_faces().chinese, reason="no Chinese font on this machine")


def stock(*, chinese: bool = False) -> Stock:
    return Stock(find_faces(), chinese=chinese)


def draw(make: Callable[[random.Random, Stock], Canvas], seed: int, *, chinese: bool = False) -> Canvas:
    return make(random.Random(seed), stock(chinese=chinese))


def extent(coverage: Image.Image, level: int = INK) -> Box | None:
    """Where a picture of mode L is at least so bright, pixel by pixel."""
    inked = np.asarray(coverage) >= level
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    return (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) if len(rows) else None


def overlap(first: Box, second: Box) -> float:
    wide = min(first[2], second[2]) - max(first[0], second[0])
    tall = min(first[3], second[3]) - max(first[1], second[1])
    if wide <= 0 or tall <= 0:
        return 0.0
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return wide * tall / (areas - wide * tall)


class Recorder:
    """Remembers every mask that is put on a canvas, to draw each alone afterwards."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.masks: dict[int, tuple[Element, Image.Image, int, int]] = {}
        plain = Canvas.put

        def put(canvas: Canvas, mask: Image.Image, x: int, y: int, *rest: object, **named: object) -> Element:
            element = plain(canvas, mask, x, y, *rest, **named)  # type: ignore[arg-type]
            self.masks[id(element)] = (element, mask, x, y)
            return element

        monkeypatch.setattr(Canvas, "put", put)

    def alone(self, element: Element, size: tuple[int, int]) -> Image.Image:
        """One text alone, white on black."""
        _, mask, x, y = self.masks[id(element)]
        page = Image.new("L", size)
        page.paste(255, (x, y), mask)
        return page
