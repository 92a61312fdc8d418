"""Pages of paper: documents in one or two columns, notes written by hand, receipts."""

from __future__ import annotations

import random
from dataclasses import replace

from PIL import Image, ImageDraw

from mimovl.curate.ocr.backgrounds import RGB, backdrop, paper
from mimovl.curate.ocr.canvas import Canvas
from mimovl.curate.ocr.setting import Hand, Stock, Word, set_line, set_paragraph, width_of

__all__ = ["make_document", "make_notes", "make_receipt"]

_WIDTHS = (560, 616, 672, 728, 784)
_HEIGHTS = (672, 784, 896, 1008)


def make_document(rng: random.Random, stock: Stock) -> Canvas:
    """A page with header, title, paragraphs, lists, figures with captions and a page number, in reading order."""
    width, height = rng.choice(_WIDTHS), rng.choice(_HEIGHTS)
    canvas = Canvas.on(paper(rng, (width, height)), chinese=stock.chinese)
    phrases = stock.phrases(rng)
    body = stock.hand(rng, rng.randint(14, 20), _dark(rng))
    margin = rng.randint(36, 60)
    top, bottom = margin, height - margin - body.pitch
    if rng.random() < 0.6:
        small = body.at(max(11, body.size - 3))
        block = canvas.block("header")
        set_paragraph(canvas, phrases.title(), (margin, 14, width - margin, margin + 8), small, block, align="right")
        ImageDraw.Draw(canvas.image).line((margin, margin + 2, width - margin, margin + 2), fill=(120, 120, 120))
        top += 12
    heading = stock.hand(rng, round(body.size * rng.uniform(1.5, 2.1)), body.colour)
    top = set_paragraph(
        canvas, phrases.title(), (margin, top, width - margin, top + 3 * heading.pitch), heading, canvas.block("title"),
        align=rng.choice(("left", "centre")),
    )  # fmt: skip
    top += body.size // 2
    gutter = rng.randint(24, 36)
    columns = 2 if rng.random() < 0.4 and width > 640 else 1
    wide = (width - 2 * margin - gutter * (columns - 1)) // columns
    for column in range(columns):
        left = margin + column * (wide + gutter)
        _fill_column(rng, canvas, stock, body, (left, top, left + wide, bottom))
    if rng.random() < 0.7:
        number = str(rng.randint(1, 400))
        words = body.at(max(11, body.size - 2)).words([number])
        set_line(canvas, words, width // 2 - 8, height - margin // 2, body, canvas.block("page number"))
    return _without_empty_blocks(canvas)


def _fill_column(rng: random.Random, canvas: Canvas, stock: Stock, hand: Hand, box: tuple[int, int, int, int]) -> None:
    """Paragraphs, headings, lists and figures down to the box's end."""
    left, y, right, bottom = box
    phrases = stock.phrases(rng)
    while bottom - y > 2 * hand.pitch:
        kind = rng.choices(("text", "heading", "list", "figure"), (6, 1.5, 1.5, 1))[0]
        if kind == "heading":
            big = hand.at(round(hand.size * 1.25))
            y = set_paragraph(canvas, phrases.title(), (left, y, right, bottom), big, canvas.block("heading"))
        elif kind == "list":
            block = canvas.block("list")
            for number in range(1, rng.randint(3, 5)):
                item = [f"{number}.", *phrases.sentence()]
                y = set_paragraph(canvas, item, (left + 14, y, right, min(bottom, y + 2 * hand.pitch)), hand, block)
        elif kind == "figure" and bottom - y > 160:
            y = _figure(rng, canvas, stock, hand, (left, y, right, bottom))
        else:
            indent = 0 if stock.chinese and rng.random() < 0.5 else rng.choice((0, hand.size * 2))
            tokens = phrases.paragraph(rng.randint(2, 4))
            y = set_paragraph(canvas, tokens, (left, y, right, bottom), hand, canvas.block("text"), indent=indent)
        y += hand.size // 2


def _figure(rng: random.Random, canvas: Canvas, stock: Stock, hand: Hand, box: tuple[int, int, int, int]) -> int:
    """A picture with its caption; returns y under it."""
    left, top, right, _ = box
    size = (right - left, rng.randint(90, 130))
    canvas.image.paste(backdrop(rng, size, stock.photos), (left, top))
    _own_area(canvas, left, top, size, canvas.block("figure"))
    y = top + size[1] + 6
    number = rng.randint(1, 9)
    tokens = [f"图{number}", *stock.phrases(rng).title()] if stock.chinese else ["Figure", f"{number}:"]
    small = hand.at(max(11, hand.size - 2))
    tokens += [] if stock.chinese else stock.phrases(rng).title()
    caption = canvas.block("caption")
    return set_paragraph(canvas, tokens, (left, y, right, y + 2 * small.pitch), small, caption, align="centre")


def _own_area(canvas: Canvas, left: int, top: int, size: tuple[int, int], block: int) -> None:
    """Make an area of the picture an element that is not to be read."""
    before = canvas.image.crop((left, top, left + size[0], top + size[1]))
    solid = Image.new("L", size, 255)
    canvas.put(solid, left, top, (0, 0, 0), "", block=block, line=canvas.line())
    canvas.image.paste(before, (left, top))


def make_notes(rng: random.Random, stock: Stock) -> Canvas:
    """A sheet written by hand: plain, ruled or squared paper; lines that rise and fall."""
    width, height = rng.choice((504, 560, 616)), rng.choice((336, 448, 560))
    canvas = Canvas.on(paper(rng, (width, height)), chinese=stock.chinese)
    inks: tuple[RGB, ...] = ((24, 36, 120), (30, 30, 34), (40, 60, 160), (120, 24, 36), (20, 80, 60))
    hand = stock.hand(rng, rng.randint(22, 32), rng.choice(inks), "hand")
    pitch = max(hand.pitch, round(hand.size * 1.5))
    draw = ImageDraw.Draw(canvas.image)
    rule = rng.choice(("none", "lines", "lines", "squares"))
    base = pitch + 14
    if rule != "none":
        pale = rng.choice(((196, 208, 226), (214, 206, 196), (202, 220, 206)))
        for y in range(base + 5, height, pitch):
            draw.line((0, y, width, y), fill=pale)
        for x in range(pitch, width, pitch) if rule == "squares" else ():
            draw.line((x, 0, x, height), fill=pale)
    phrases = stock.phrases(rng)
    block, left = canvas.block("handwriting"), rng.randint(24, 56)
    words = hand.words(phrases.paragraph(8))
    for y in range(base, height - 16, pitch):
        line: list[Word] = []
        while words and width_of([*line, words[0]], hand) < width - left - 24:
            line.append(words.pop(0))
        if not line or (y > base + pitch and rng.random() < 0.12):
            break
        set_line(canvas, line, left + rng.randint(-5, 5), y + rng.randint(-2, 2), hand, block)
    return canvas


def make_receipt(rng: random.Random, stock: Stock) -> Canvas:
    """A narrow slip: shop, date, goods with prices, and a total that adds up."""
    phrases = stock.phrases(rng)
    width = rng.choice((336, 364, 392))
    hand = stock.hand(rng, rng.randint(15, 19), _dark(rng))
    hand = replace(hand, leading=1.1)
    count = rng.randint(3, 8)
    height = -(-(hand.pitch * (count + 6) + 60) // 28) * 28
    canvas = Canvas.on(paper(rng, (width, height)), chinese=stock.chinese)
    margin, y = 24, 20
    box = (margin, y, width - margin, height)
    y = set_paragraph(
        canvas,
        phrases.tokens(phrases.name()),
        box,
        hand.at(round(hand.size * 1.4)),
        canvas.block("title"),
        align="centre",
    )
    block = canvas.block("text")
    for tokens in (phrases.date().split(), [("电话" if stock.chinese else "Tel."), phrases.phone()]):
        y = set_paragraph(canvas, tokens, (margin, y, width - margin, height), hand, block, align="centre")
    cents = [rng.randint(50, 4999) for _ in range(count)]
    block = canvas.block("list")
    rows = [(phrases.good(), cost) for cost in cents] + [("合计" if stock.chinese else "TOTAL", sum(cents))]
    for number, (name, cost) in enumerate(rows):
        y += hand.pitch + (hand.size // 2 if number == count else 0)
        if number == count:
            ImageDraw.Draw(canvas.image).line(
                (margin, y - hand.pitch, width - margin, y - hand.pitch), fill=hand.colour
            )
        left = hand.words(name.split())
        right = hand.words([f"{cost // 100}.{cost % 100:02d}"])
        line = canvas.line()
        set_line(canvas, left, margin, y, hand, block, line)
        set_line(canvas, right, width - margin - width_of(right, hand), y, hand, block, line)
    return canvas


def _dark(rng: random.Random) -> RGB:
    level = rng.randint(8, 60)
    return (level, level, min(255, level + rng.choice((0, 0, 40))))


def _without_empty_blocks(canvas: Canvas) -> Canvas:
    """Blocks for which there was no room are none."""
    used = sorted({one.block for one in canvas.elements})
    place = {block: number for number, block in enumerate(used)}
    for one in canvas.elements:
        one.block = place[one.block]
    canvas.blocks = [canvas.blocks[block] for block in used]
    return canvas
