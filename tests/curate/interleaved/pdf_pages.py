"""PDF pages drawn with their reading order known: one or two columns, tables, figures, running headers, hyphens.

Every word of a page stands on it once, so the order that comes out is compared word by word (:func:`order_kept`).
The order in which a page's lines are written into the file is shuffled, or goes across the columns, or is natural: a
reader that trusts the file is wrong on most.
"""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from mimovl.curate.interleaved.blocks import Block

WIDTH, HEIGHT = 595.0, 842.0
MARGIN = 60.0
PICTURE = "[picture]"
_FONTS = {"en": "Times-Roman", "zh": "STSong-Light"}


@dataclass
class Drawn:
    """One thing to draw: words at a place, or a picture."""

    x: float
    y: float
    words: list[str]
    size: float = 10.0
    spread: float = 0.0
    """Points added to each space of a justified line."""
    box: tuple[float, float] | None = None
    """Width and height of a picture."""


@dataclass
class Page:
    """What is drawn and the tokens in the order a person reads them; a picture is ``[picture]``."""

    drawn: list[Drawn] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    language: str = "en"

    def tokens(self) -> list[str]:
        """What :func:`tokens` would find in a perfect reading."""
        if self.language == "en":
            return self.order
        return [token for word in self.order for token in ([word] if word == PICTURE else word)]


class Words:
    """Words (or Chinese characters) that never come twice on a page."""

    def __init__(self, rng: random.Random, language: str) -> None:
        self.rng, self.language = rng, language
        self.number = 0
        self.han = rng.sample(range(0x4E00, 0x9000), 4000) if language == "zh" else []

    def next(self) -> str:
        """Another one."""
        self.number += 1
        if self.language == "zh":
            return chr(self.han[self.number % len(self.han)])
        letters = "".join(self.rng.choice("aeioubcdfglmnprst") for _ in range(self.rng.randint(0, 5)))
        number, tail = self.number, ""
        while number:
            number, digit = divmod(number, 20)
            tail += "bcdfghjklmnpqrstvwxz"[digit]
        return f"{letters}{tail}"


def draw_page(
    rng: random.Random, *, columns: int, language: str = "en", number: int = 1, pictures: bool = True
) -> Page:
    """One page of random content in one or two columns, with a running header and a page number that nobody reads."""
    page = Page(language=language)
    words = Words(rng, language)
    size = rng.choice((9.0, 9.5, 10.0, 11.0))
    gutter = rng.uniform(14, 26)
    width = (WIDTH - 2 * MARGIN - gutter * (columns - 1)) / columns
    page.drawn.append(Drawn(MARGIN, HEIGHT - 34, ["Annals", "of", "Drawn", "Pages"], 8))
    page.drawn.append(Drawn(WIDTH - MARGIN - 12, HEIGHT - 34, [str(number)], 8))
    top = HEIGHT - 70
    if rng.random() < 0.6:
        top = _lines(page, rng, words, MARGIN, top, WIDTH - 2 * MARGIN, size * 1.6, 1, size * 2.4, justified=False)
        top = _lines(page, rng, words, MARGIN, top - size, WIDTH - 2 * MARGIN, size, rng.randint(2, 5), size * 1.25)
        top -= 1.5 * size
    if rng.random() < 0.3:
        top = _table(page, rng, words, MARGIN, top, WIDTH - 2 * MARGIN, size) - 1.5 * size
    for column in range(columns):
        x, y = MARGIN + column * (width + gutter), top
        while y > 150:
            kind = rng.random()
            if kind < 0.1 and pictures and y > 300:
                y = _figure(page, rng, words, x, y, width, size)
            elif kind < 0.2 and y > 280:
                y = _table(page, rng, words, x, y, width, size)
            elif kind < 0.35:
                y = _lines(page, rng, words, x, y, 0.6 * width, size * 1.3, 1, size * 1.6, justified=False)
            else:
                y = _lines(page, rng, words, x, y, width, size, rng.randint(2, 9), size * 1.2, indent=size * 1.5)
            y -= rng.uniform(0.5, 1.0) * size
    return page


def _lines(
    page: Page,
    rng: random.Random,
    words: Words,
    x: float,
    y: float,
    width: float,
    size: float,
    count: int,
    pitch: float,
    *,
    justified: bool = True,
    indent: float = 0.0,
) -> float:
    """A paragraph: full lines and a shorter last one, every fifth line broken inside a word."""
    joint = "" if words.language == "zh" else " "
    rest = ""
    for line in range(count):
        room = width * (rng.uniform(0.3, 0.8) if line == count - 1 and count > 1 else 1.0)
        start = indent if line == 0 else 0.0
        held = [rest] if rest else []
        rest = ""
        while True:
            word = words.next()
            if _width([*held, word], size, words.language) > room - start and held:
                break
            held.append(word)
            page.order.append(word)
        # The word that did not fit is never used, unless it is broken.
        if joint and line < count - 1 and line % 5 == 1 and len(word) >= 6:
            half = word[: len(word) // 2] + "-"
            if _width([*held, half], size, words.language) <= width - start:
                held.append(half)
                rest = word[len(word) // 2 :]
                page.order.append(word)
        spare = width - start - _width(held, size, words.language)
        last = line == count - 1
        spread = spare / (len(held) - 1) if justified and not last and joint and len(held) > 1 else 0.0
        page.drawn.append(Drawn(x + start, y - size, held, size, min(spread, size * 0.6)))
        y -= pitch
    return y


def _table(page: Page, rng: random.Random, words: Words, x: float, y: float, width: float, size: float) -> float:
    columns = rng.randint(3, 4)
    # Not one Chinese character alone: its font is not in the file, and PDFium drops a text whose only shape it lacks.
    fewest = 2 if words.language == "zh" else 1
    for _ in range(rng.randint(3, 6)):
        for column in range(columns):
            cell = [words.next() for _ in range(rng.randint(fewest, 2))]
            while _width(cell, size * 0.9, words.language) > width / columns - 1.6 * size:
                cell = [words.next()[-4:] for _ in range(fewest)]
            page.order += cell
            page.drawn.append(Drawn(x + column * width / columns, y - size, cell, size * 0.9))
        y -= size * 1.4
    return y - 0.8 * size


def _figure(page: Page, rng: random.Random, words: Words, x: float, y: float, width: float, size: float) -> float:
    high = rng.uniform(60, 120)
    page.drawn.append(Drawn(x, y - high, [], box=(width * rng.uniform(0.6, 1.0), high)))
    page.order.append(PICTURE)
    caption = ["Figure", f"{words.number + 7}:"] if words.language == "en" else []
    caption += [words.next() for _ in range(4 if words.language == "en" else 8)]
    page.order += caption
    page.drawn.append(Drawn(x, y - high - size * 1.4, caption, size * 0.9))
    return y - high - size * 2.2


def _width(words: Sequence[str], size: float, language: str) -> float:
    if language == "zh":
        return size * sum(map(len, words))
    return float(pdfmetrics.stringWidth(" ".join(words), "Times-Roman", size))


def write_pdf(pages: Sequence[Page], rng: random.Random, *, language: str = "en", written: str = "shuffled") -> bytes:
    """The pages as a file.

    Args:
        pages: what to draw.
        rng: of the shuffling.
        language: chooses the font.
        written: ``shuffled``, ``across`` (line by line over all columns) or ``natural``.
    """
    if language == "zh" and "STSong-Light" not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(WIDTH, HEIGHT), invariant=1)
    for page in pages:
        drawn = list(page.drawn)
        if written == "shuffled":
            rng.shuffle(drawn)
        elif written == "across":
            drawn.sort(key=lambda one: (-one.y, one.x))
        word_by_word = rng.random() < 0.3
        for one in drawn:
            if one.box:
                canvas.drawImage(ImageReader(io.BytesIO(photo(rng.randrange(1 << 30)))), one.x, one.y, *one.box)
            elif one.words:
                _write(canvas, one, language, word_by_word)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def _write(canvas: Canvas, one: Drawn, language: str, word_by_word: bool) -> None:
    latin = all(word.isascii() for word in one.words)
    font = "Times-Roman" if latin else _FONTS[language]
    if word_by_word and latin and language == "en":
        x = one.x
        for word in one.words:
            canvas.setFont(font, one.size)
            canvas.drawString(x, one.y, word)
            x += pdfmetrics.stringWidth(word + " ", font, one.size) + one.spread
        return
    text = canvas.beginText(one.x, one.y)
    text.setFont(font, one.size)
    text.setWordSpace(one.spread)
    text.textOut(("" if language == "zh" and not latin else " ").join(one.words))
    canvas.drawText(text)


def photo(number: int, size: tuple[int, int] = (160, 120), form: str = "JPEG") -> bytes:
    """A picture of coloured blocks; equal numbers show the same."""
    blocks = np.random.default_rng(number).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(blocks).resize(size, Image.Resampling.BICUBIC).save(buffer, form)
    return buffer.getvalue()


def order_kept(expected: Sequence[str], found: Sequence[str]) -> float:
    """Share of the neighbours of a page that are neighbours in what was read; 1 is perfect."""
    if len(expected) < 2:
        return 1.0
    pairs = set(zip(found, found[1:], strict=False))
    return sum(pair in pairs for pair in zip(expected, expected[1:], strict=False)) / (len(expected) - 1)


def tokens(blocks: Sequence[Block]) -> list[str]:
    """Words, Chinese characters and pictures of blocks, in order."""
    found: list[str] = []
    for block in blocks:
        if block.media is not None:
            found.append(PICTURE)
            continue
        lines = [line for line in block.text.split("\n") if block.kind != "table" or line.strip("| -")]
        for word in "\n".join(lines).replace("|", " ").split():
            found += [word] if word.isascii() else list(word)
    return found
