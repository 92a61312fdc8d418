"""A picture that knows its letters: beside the pixels it keeps how much ink each holds, and of which element.

    put ──▶ image, ink, owner ── warp, scale, laid_on ──▶ image, ink, owner ── boxes ──▶ box of every element

Whatever bends the picture bends ink and owner by the same map, and boxes are measured from them only at the end: so a
box is the ink's own however often it was turned. An element is a word (in Chinese a phrase), a formula or a figure;
elements make lines, lines make blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy import ndimage

__all__ = ["INK", "Block", "Box", "Canvas", "Element", "Matrix", "union"]

INK = 96
"""Coverage (of 255) from which a pixel counts as ink, as in the embedded world."""

Box = tuple[int, int, int, int]
"""x1, y1, x2, y2 in whole pixels; right and bottom are exclusive."""
Matrix = NDArray[np.float64]
"""A projective map of the plane, shape (3, 3), in pixels whose corners have whole coordinates."""


@dataclass
class Element:
    """One word, formula or figure. ``text`` is empty for what is not to be read."""

    text: str
    line: int
    block: int
    spaced: bool = True
    """A space stands before it, unless it begins a line."""
    hidden: float = 0.0
    """Share of its ink that something covers."""


@dataclass
class Block:
    """A part of the layout; ``role`` is title, text, list, table, figure, formula, caption, sign or the like."""

    role: str
    markup: str = ""
    """What the block is in another notation: the HTML of a table, the LaTeX of a formula."""


@dataclass
class Canvas:
    """Pixels, ink and owners of one size. Element i owns the pixels where ``owner`` is i + 1."""

    image: Image.Image
    ink: Image.Image
    owner: Image.Image
    elements: list[Element] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    num_lines: int = 0
    chinese: bool = False

    @classmethod
    def on(cls, background: Image.Image, *, chinese: bool = False) -> Canvas:
        """An empty one on a background of mode RGB."""
        size = background.size
        return cls(background, Image.new("L", size), Image.new("I", size), chinese=chinese)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels."""
        return self.image.size

    def block(self, role: str, markup: str = "") -> int:
        """Begin a block; returns its number."""
        self.blocks.append(Block(role, markup))
        return len(self.blocks) - 1

    def line(self) -> int:
        """Begin a line; returns its number."""
        self.num_lines += 1
        return self.num_lines - 1

    def put(
        self,
        mask: Image.Image,
        x: int,
        y: int,
        colour: tuple[int, int, int],
        text: str,
        *,
        block: int,
        line: int,
        spaced: bool = True,
    ) -> Element:
        """Draw an element's coverage (mode L) with its top left corner at x, y."""
        element = Element(text, line, block, spaced)
        self.elements.append(element)
        self.image.paste(colour, (x, y), mask)
        self.own(mask, x, y, len(self.elements))
        return element

    def own(self, mask: Image.Image, x: int, y: int, owner: int) -> None:
        """Note ink of element ``owner`` - 1 without drawing."""
        rim = Image.new("L", (mask.width + 2, mask.height + 2))
        rim.paste(mask, (1, 1))
        # A rim of one pixel, for bending moves ink by parts of a pixel; it takes nothing from what has an owner.
        wide = np.asarray(rim.filter(ImageFilter.MaxFilter(3))) > 0
        before = np.asarray(self.owner.crop((x - 1, y - 1, x - 1 + rim.width, y - 1 + rim.height)))
        after = np.where((wide & (before == 0)) | (np.asarray(rim) >= INK), owner, before).astype(np.int32)
        self.owner.paste(Image.fromarray(after), (x - 1, y - 1))
        self.ink.paste(255, (x, y), mask)

    # ------------------------------------------------------------ bending

    def warp(self, matrix: Matrix, size: tuple[int, int], fill: tuple[int, int, int] = (255, 255, 255)) -> Canvas:
        """The picture after a projective map, from old to new pixels, on a canvas of ``size``."""
        inverse = np.linalg.inv(matrix)
        data = tuple(float(value) for value in (inverse / inverse[2, 2]).ravel()[:8])
        how = Image.Transform.PERSPECTIVE
        return self._with(
            self.image.transform(size, how, data, Image.Resampling.BICUBIC, fillcolor=fill),
            self.ink.transform(size, how, data, Image.Resampling.BICUBIC),
            self.owner.transform(size, how, data, Image.Resampling.NEAREST),
        )

    def scale(self, size: tuple[int, int]) -> Canvas:
        """The picture at another size, in proportion or not."""
        how = Image.Resampling.BICUBIC
        return self._with(
            self.image.resize(size, how),
            self.ink.resize(size, how),
            self.owner.resize(size, Image.Resampling.NEAREST),
        )

    def laid_on(self, other: Canvas, alpha: Image.Image) -> None:
        """Paint this canvas over another of the same size where ``alpha`` is opaque, and hand over its elements."""
        elements, blocks, lines = len(other.elements), len(other.blocks), other.num_lines
        other.image.paste(self.image, (0, 0), alpha)
        solid = alpha.point(_HALF)
        moved = np.asarray(self.owner)
        moved = np.where(moved > 0, moved + elements, 0).astype(np.int32)
        other.owner.paste(Image.fromarray(moved), (0, 0), solid)
        other.ink.paste(self.ink, (0, 0), solid)
        other.elements += [
            Element(one.text, one.line + lines, one.block + blocks, one.spaced, one.hidden) for one in self.elements
        ]
        other.blocks += self.blocks
        other.num_lines += self.num_lines

    def _with(self, image: Image.Image, ink: Image.Image, owner: Image.Image) -> Canvas:
        return Canvas(image, ink, owner, self.elements, self.blocks, self.num_lines, self.chinese)

    # ------------------------------------------------------------ measuring

    def boxes(self) -> list[Box | None]:
        """The box of each element's ink; None of one without ink in the picture."""
        inked = np.where(np.asarray(self.ink) >= INK, np.asarray(self.owner), 0)
        found = ndimage.find_objects(inked, max_label=len(self.elements))
        return [
            None if one is None else (one[1].start, one[0].start, one[1].stop, one[0].stop) for one in found
        ]  # fmt: skip

    def amounts(self) -> NDArray[np.float64]:
        """How much ink each element has, in covered pixels, shape (elements,)."""
        owner, ink = np.asarray(self.owner).ravel(), np.asarray(self.ink).ravel()
        weighed = np.bincount(owner, ink / 255.0, len(self.elements) + 1)
        return np.asarray(weighed[1:], dtype=np.float64)

    def text_of(self, elements: Sequence[Element]) -> str:
        """Elements of one line, read."""
        return "".join((" " if one.spaced and number else "") + one.text for number, one in enumerate(elements))


_HALF = [255 * (level >= 128) for level in range(256)]


def union(boxes: Sequence[Box]) -> Box:
    """The box around some."""
    return (
        min(box[0] for box in boxes),
        min(box[1] for box in boxes),
        max(box[2] for box in boxes),
        max(box[3] for box in boxes),
    )
