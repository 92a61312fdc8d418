"""Tables with their HTML: ruled, half-ruled or striped, numbers aligned right, now and then a cell over two columns."""

from __future__ import annotations

import random
from html import escape

from PIL import Image, ImageDraw

from mimovl.curate.ocr.backgrounds import paper
from mimovl.curate.ocr.canvas import Canvas
from mimovl.curate.ocr.setting import Stock, Word, set_line, set_paragraph, width_of

__all__ = ["make_table"]

_PAD = 8
_TRIES = 30


def make_table(rng: random.Random, stock: Stock) -> Canvas:
    """A page with a caption and a table; ``markup`` of the table's block is its HTML."""
    for _ in range(_TRIES):
        canvas = _try(rng, stock)
        if canvas is not None:
            return canvas
    raise AssertionError("a table of two columns of short cells fits on every page")


def _try(rng: random.Random, stock: Stock) -> Canvas | None:
    phrases = stock.phrases(rng)
    hand = stock.hand(rng, rng.randint(14, 19), (24, 24, 28))
    num_columns, num_rows = rng.randint(2, 5), rng.randint(2, 8)
    kinds = ["name", *(rng.choice(("number", "price", "date", "word", "code")) for _ in range(num_columns - 1))]
    texts = [[phrases.title()[0] if column == 0 else phrases.title()[-1] for column in range(num_columns)]]
    makers = {
        "name": phrases.good,
        "number": phrases.number,
        "price": phrases.price,
        "date": phrases.date,
        "word": lambda: phrases.title()[0],
        "code": phrases.code,
    }
    texts += [[makers[kind]() for kind in kinds] for _ in range(num_rows)]
    spans = rng.random() < 0.25 and num_columns > 2  # the last row's first cell runs over two columns
    if spans:
        texts[-1][0] = "合计" if stock.chinese else "Total"
    cells: list[list[list[Word]]] = [[hand.words(text.split()) for text in row] for row in texts]
    wide = [max(width_of(row[column], hand) for row in cells) + 2 * _PAD for column in range(num_columns)]
    tall = hand.pitch + rng.randint(4, 12)
    margin = rng.randint(24, 44)
    width = -(-(sum(wide) + 2 * margin) // 28) * 28
    height = -(-(tall * len(cells) + 2 * margin + 2 * hand.pitch) // 28) * 28
    if width > 896:
        return None
    canvas = Canvas.on(paper(rng, (width, height)), chinese=stock.chinese)
    title = phrases.title()
    top = set_paragraph(canvas, title, (margin, margin // 2, width - margin, height), hand, canvas.block("caption")) + 8
    left = (width - sum(wide)) // 2
    block = canvas.block("table", _html(texts, spans=spans))
    frame = (left, top, left + sum(wide), top + tall * len(cells))
    _rules(rng, canvas, frame, wide, tall, block, spans=spans)
    for row, words_of in enumerate(cells):
        base, x = top + row * tall + (tall + hand.size) // 2 - hand.size // 8, left
        for column, words in enumerate(words_of):
            cell = wide[column]
            last_spanned = spans and row == len(cells) - 1
            if last_spanned and column == 1:
                x += cell
                continue
            right = kinds[column] in ("number", "price") and row > 0
            start = x + cell - _PAD - width_of(words, hand) if right else x + _PAD
            set_line(canvas, words, start, base, hand, block)
            x += cell
    return canvas


def _rules(
    rng: random.Random,
    canvas: Canvas,
    frame: tuple[int, int, int, int],
    wide: list[int],
    tall: int,
    block: int,
    *,
    spans: bool,
) -> None:
    """Lines and stripes; they are the table's ink too, so that its box is the frame's."""
    left, top, right, bottom = frame
    kind = rng.choice(("grid", "grid", "rows", "striped"))
    size = (right - left + 1, bottom - top + 1)
    lines = Image.new("L", size)
    draw, paint = ImageDraw.Draw(lines), ImageDraw.Draw(canvas.image)
    head = rng.choice(((226, 230, 238), (232, 226, 214), (218, 228, 220)))
    paint.rectangle((left, top, right, top + tall), fill=head)
    rows = range(0, bottom - top + 1, tall)
    for number, y in enumerate(rows):
        if kind == "striped" and number % 2 == 0 and 0 < number < len(rows) - 1:
            paint.rectangle((left, top + y, right, top + y + tall), fill=(240, 240, 240))
        if kind != "striped" or number in (0, 1, len(rows) - 1):
            draw.line((0, y, size[0], y), fill=255)
    if kind == "grid":
        x = 0
        for number, cell in enumerate([0, *wide]):
            x += cell
            end = size[1] - 1 - tall if spans and number == 1 else size[1]
            draw.line((x, 0, x, end), fill=255)
    canvas.put(lines, left, top, (90, 90, 96), "", block=block, line=canvas.line())


def _html(texts: list[list[str]], *, spans: bool) -> str:
    rows = []
    for number, row in enumerate(texts):
        tag = "th" if number == 0 else "td"
        cells = [f"<{tag}>{escape(text)}</{tag}>" for text in row]
        if spans and number == len(texts) - 1:
            cells[:2] = [f'<td colspan="2">{escape(row[0])}</td>']
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table>{''.join(rows)}</table>"
