"""Setting text on a canvas: lines that break at the column's edge, cells, and what draws them alike (a ``Hand``)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from mimovl.curate.ocr.backgrounds import RGB
from mimovl.curate.ocr.canvas import Canvas
from mimovl.curate.ocr.faces import Face, Faces
from mimovl.curate.ocr.lettering import Lettered, Style, letter, line_pitch, space_width
from mimovl.curate.ocr.phrases import Phrases

__all__ = ["Hand", "Stock", "Word", "set_line", "set_paragraph", "width_of"]

_NOT_FIRST = "，。；：？！、”）》%"
Word = tuple[str, Lettered]


@dataclass(frozen=True)
class Stock:
    """What pages are made of."""

    faces: Faces
    chinese: bool = False
    photos: tuple[Path, ...] = ()
    corpus: tuple[str, ...] = ()

    def phrases(self, rng: random.Random) -> Phrases:
        """A source of texts."""
        return Phrases(rng, chinese=self.chinese, corpus=self.corpus)

    def hand(self, rng: random.Random, size: int, colour: RGB, style: Style = "plain") -> Hand:
        """Some face at a size; one that looks written for that style, if there is one."""
        face = rng.choice(self.faces.of(chinese=self.chinese, hand=style == "hand"))
        return Hand(face, size, colour, rng, style, self.chinese, rng.uniform(1.05, 1.35), rng.uniform(-0.02, 0.26))


@dataclass(frozen=True)
class Hand:
    """How text looks: face, size in pixels, colour, style; and chance, for styles that need it."""

    face: Face
    size: int
    colour: RGB
    rng: random.Random
    style: Style = "plain"
    chinese: bool = False
    leading: float = 1.15
    """Distance of base lines, of ascent plus descent."""
    lean: float = 0.1
    """How far written letters lean to the right."""

    @property
    def pitch(self) -> int:
        """Distance of base lines, pixels."""
        return max(self.size, round(line_pitch(self.face, self.size) * self.leading))

    @property
    def gap(self) -> int:
        """Width between two words, pixels."""
        return 0 if self.chinese else space_width(self.face, self.size)

    def at(self, size: int) -> Hand:
        """The same at another size."""
        return replace(self, size=size)

    def words(self, tokens: Sequence[str]) -> list[Word]:
        """Tokens drawn, those without ink left out."""
        drawn = [(token, letter(token, self.face, self.size, self.style, self.rng, lean=self.lean)) for token in tokens]
        return [(token, mask) for token, mask in drawn if mask is not None]


def width_of(words: Sequence[Word], hand: Hand) -> int:
    """Width of a line from the first pen to the last, pixels."""
    return sum(drawn.advance for _, drawn in words) + hand.gap * max(0, len(words) - 1)


def set_line(
    canvas: Canvas, words: Sequence[Word], x: int, base: int, hand: Hand, block: int, line: int | None = None
) -> None:
    """Put words on a base line, as a line of their own or, well apart, as more of one that was begun."""
    begun = line is not None
    line = canvas.line() if line is None else line
    for number, (token, drawn) in enumerate(words):
        mask: Image.Image = drawn.mask
        spaced = not hand.chinese or (begun and number == 0)
        canvas.put(mask, x + drawn.left, base + drawn.top, hand.colour, token, block=block, line=line, spaced=spaced)
        x += drawn.advance + hand.gap


def set_paragraph(
    canvas: Canvas,
    tokens: Sequence[str],
    box: tuple[int, int, int, int],
    hand: Hand,
    block: int,
    *,
    align: str = "left",
    indent: int = 0,
) -> int:
    """Fill a box with text from its top; what does not fit is left out, a whole line at a time.

    Args:
        canvas: what to draw on.
        tokens: what to write.
        box: x1, y1, x2, y2 to stay within.
        hand: how.
        block: number of the block it belongs to.
        align: left, centre or right.
        indent: of the first line, pixels.

    Returns:
        y under the last line; the box's top if none fitted.
    """
    x1, y1, x2, y2 = box
    ascent = round(hand.pitch * 0.78)
    y, first = y1, True
    for words in _broken(hand.words(tokens), x2 - x1, hand, indent):
        if y + hand.pitch > y2:
            break
        spare = x2 - x1 - width_of(words, hand) - (indent if first else 0)
        x = x1 + (indent if first else 0) + (spare // 2 if align == "centre" else spare if align == "right" else 0)
        set_line(canvas, words, x, y + ascent, hand, block)
        y, first = y + hand.pitch, False
    return y


def _broken(words: Sequence[Word], width: int, hand: Hand, indent: int) -> list[list[Word]]:
    """Words in lines no wider than ``width``; a word that is wider alone ends the text."""
    lines: list[list[Word]] = []
    line: list[Word] = []
    for word in words:
        room = width - (0 if lines else indent)
        if width_of([word], hand) > room:
            break
        if line and width_of([*line, word], hand) > room and word[0][0] not in _NOT_FIRST:
            lines.append(line)
            line = []
        line = [*line, word]
    return [*lines, line] if line else lines
