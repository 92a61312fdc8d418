"""Text in the world: signs in perspective on walls and photos, words on busy ground, and packages."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from mimovl.curate.ocr.augment import quad_matrix
from mimovl.curate.ocr.backgrounds import RGB, backdrop, contrast_with, luminance
from mimovl.curate.ocr.canvas import Canvas
from mimovl.curate.ocr.lettering import Style
from mimovl.curate.ocr.setting import Hand, Stock, set_line, set_paragraph, width_of

__all__ = ["make_package", "make_scene"]

_PLATES: tuple[RGB, ...] = (
    (18, 84, 160), (196, 30, 40), (248, 206, 40), (28, 120, 70), (244, 244, 240), (30, 30, 34), (236, 120, 30),
    (90, 50, 120), (232, 220, 196),
)  # fmt: skip
_BENT: tuple[Style, ...] = ("plain", "plain", "wave", "arch", "slant", "stretch", "worn")


def make_scene(rng: random.Random, stock: Stock) -> Canvas:
    """Two to four signs in the cells of a grid, so that none hides another, each seen from its own angle."""
    width, height = rng.choice((560, 672, 784)), rng.choice((448, 560, 616))
    canvas = Canvas.on(backdrop(rng, (width, height), stock.photos), chinese=stock.chinese)
    columns, rows = rng.choice(((2, 2), (1, 2), (2, 1), (2, 3), (1, 1)))
    cells = [(column, row) for row in range(rows) for column in range(columns)]
    chosen = sorted(rng.sample(cells, rng.randint(max(1, len(cells) - 1), len(cells))), key=lambda cell: cell[::-1])
    for column, row in chosen:
        size = (width // columns, height // rows)
        corner = (column * size[0], row * size[1])
        sign = _sign(rng, stock, (round(size[0] * 0.92), round(size[1] * 0.88)))
        _hang(rng, canvas, sign, corner, size)
    return canvas


def _sign(rng: random.Random, stock: Stock, most: tuple[int, int]) -> Canvas:
    """A plate with one to three lines, as large as its text and no larger than ``most``."""
    phrases = stock.phrases(rng)
    ground = rng.choice(_PLATES)
    style = rng.choice(_BENT)
    lines = [phrases.sign() for _ in range(rng.choice((1, 1, 2, 3)))]
    hand = stock.hand(rng, rng.randint(34, 76), contrast_with(rng, ground), style)
    drawn = [hand.words(phrases.tokens(line)) for line in lines]
    pad = 14
    while hand.size > 16 and (
        max(width_of(words, hand) for words in drawn) + 4 * pad > most[0]
        or len(drawn) * hand.pitch * 1.3 + 3 * pad > most[1]
    ):
        hand = hand.at(round(hand.size * 0.88))
        drawn = [hand.words(phrases.tokens(line)) for line in lines]
    pitch = round(hand.pitch * (1.3 if style in ("wave", "arch") else 1.1))
    size = (max(width_of(words, hand) for words in drawn) + 4 * pad, len(drawn) * pitch + 3 * pad)
    image = Image.new("RGB", size, ground)
    edge = contrast_with(rng, ground)
    ImageDraw.Draw(image).rounded_rectangle((4, 4, size[0] - 5, size[1] - 5), radius=8, outline=edge, width=3)
    sign = Canvas.on(image, chinese=stock.chinese)
    block = sign.block("sign")
    for number, words in enumerate(drawn):
        x = (size[0] - width_of(words, hand)) // 2
        set_line(sign, words, x, round(1.5 * pad + (number + 0.74) * pitch), hand, block)
    return sign


def _hang(rng: random.Random, canvas: Canvas, sign: Canvas, corner: tuple[int, int], room: tuple[int, int]) -> None:
    """Lay a sign over the canvas inside a cell, turned and in perspective."""
    wide, tall = sign.size
    grow = min(1.0, room[0] * 0.94 / wide, room[1] * 0.9 / tall)
    wide_now, tall_now = wide * grow, tall * grow
    x = corner[0] + rng.uniform(0.02 * room[0], max(0.02 * room[0], room[0] * 0.98 - wide_now))
    y = corner[1] + rng.uniform(0.04 * room[1], max(0.04 * room[1], room[1] * 0.96 - tall_now))
    sway = 0.1
    target = [
        (x + wide_now * (across + (0.5 - across) * rng.uniform(0, sway)),
         y + tall_now * (down + (0.5 - down) * rng.uniform(0, 2 * sway)))
        for across, down in ((0, 0), (1, 0), (1, 1), (0, 1))
    ]  # fmt: skip
    matrix = quad_matrix([(0, 0), (wide, 0), (wide, tall), (0, tall)], target)
    _lay(canvas, sign, matrix)


def _lay(canvas: Canvas, sign: Canvas, matrix: np.ndarray) -> None:
    alpha = Canvas.on(Image.new("RGB", sign.size, (255, 255, 255)))
    mask = alpha.warp(matrix, canvas.size, fill=(0, 0, 0)).image.convert("L")
    sign.warp(matrix, canvas.size).laid_on(canvas, mask)


def make_package(rng: random.Random, stock: Stock) -> Canvas:
    """The front or back of a package: brand, product, claims, contents, dates, a bar code."""
    phrases = stock.phrases(rng)
    width, height = rng.choice((392, 448, 504)), rng.choice((504, 560, 616))
    ground = rng.choice(_PLATES)
    second = tuple(round(0.7 * level + 0.3 * rng.randint(0, 255)) for level in ground)
    shade = Image.linear_gradient("L").resize((width, height))
    image = Image.composite(Image.new("RGB", (width, height), ground), Image.new("RGB", (width, height), second), shade)
    colour = contrast_with(rng, ground if luminance(ground) < 128 else second, least=120)
    if min(abs(luminance(colour) - luminance(one)) for one in (ground, second)) < 90:
        image, colour = Image.new("RGB", (width, height), ground), contrast_with(rng, ground, least=120)
    canvas = Canvas.on(image, chinese=stock.chinese)
    margin = 28
    brand = stock.hand(rng, rng.randint(38, 52), colour, rng.choice(("plain", "arch", "slant", "wave", "hand")))
    y = _fitted(canvas, phrases.tokens(phrases.name()), (margin, 30, width - margin), brand, canvas.block("brand"))
    product = stock.hand(rng, rng.randint(26, 36), colour, rng.choice(("plain", "plain", "stretch", "outline")))
    product = replace(product, style="plain") if product.size < 30 and product.style == "outline" else product
    y = _fitted(
        canvas, phrases.tokens(phrases.good()), (margin, y + 10, width - margin), product, canvas.block("title")
    )
    small = stock.hand(rng, rng.randint(15, 20), (30, 30, 30))
    inner = (margin + 12, y + 28, width - margin - 12, height - 106)
    texts = _small_print(rng, stock)
    end = _set_small_print(Canvas.on(Image.new("RGB", canvas.size)), texts, inner, small)
    panel = (margin, y + 18, width - margin, end + 10)
    ImageDraw.Draw(canvas.image).rounded_rectangle(panel, radius=10, fill=(248, 246, 240))
    _set_small_print(canvas, texts, inner, small)
    height = min(height, -(-(panel[3] + 24 + 90) // 28) * 28)  # what is left empty is cut off
    canvas.image, canvas.ink, canvas.owner = (
        layer.crop((0, 0, width, height)) for layer in (canvas.image, canvas.ink, canvas.owner)
    )
    _bar_code(rng, canvas, (margin, height - 82), small)
    return canvas


def _fitted(canvas: Canvas, tokens: list[str], span: tuple[int, int, int], hand: Hand, block: int) -> int:
    """One centred line, made smaller until it fits; returns y under it."""
    x1, y, x2 = span
    words = hand.words(tokens)
    while width_of(words, hand) > x2 - x1 and hand.size > 14:
        hand = hand.at(round(hand.size * 0.9))
        words = hand.words(tokens)
    base = y + round(hand.pitch * (0.95 if hand.style in ("wave", "arch", "stretch") else 0.8))
    set_line(canvas, words, (x1 + x2 - width_of(words, hand)) // 2, base, hand, block)
    return y + round(hand.pitch * (1.3 if hand.style in ("wave", "arch", "stretch") else 1.05))


def _small_print(rng: random.Random, stock: Stock) -> list[list[str]]:
    """Tokens of the contents, then of each fact."""
    phrases = stock.phrases(rng)
    grams = rng.choice((50, 100, 250, 330, 500, 750))
    goods = list(dict.fromkeys(phrases.good() for _ in range(5)))
    if stock.chinese:
        facts = [("净含量：", f"{grams}克"), ("生产日期：", phrases.date()), ("保质期：", f"{rng.randint(3, 36)}个月")]
        return [["配料：", *(good + "、" for good in goods), "食盐。"], *map(list, facts), ["批号：", phrases.code()]]
    facts = [("Net weight:", f"{grams} g"), ("Best before:", phrases.date()), ("Lot:", phrases.code())]
    facts.append(("Energy:", f"{rng.randint(40, 600)} kcal per 100 g"))
    contents = "Ingredients: " + ", ".join(good.lower() for good in goods) + ", salt."
    return [contents.split(), *([label, *value.split()] for label, value in facts)]


def _set_small_print(canvas: Canvas, texts: list[list[str]], box: tuple[int, int, int, int], hand: Hand) -> int:
    """The contents as a paragraph, the facts as a list; returns y under them."""
    x1, y, x2, y2 = box
    y = set_paragraph(canvas, texts[0], box, hand, canvas.block("text"))
    block = canvas.block("list")
    for tokens in texts[1:]:
        y = set_paragraph(canvas, tokens, (x1, y + 2, x2, y2), hand, block)
    return y


def _bar_code(rng: random.Random, canvas: Canvas, corner: tuple[int, int], hand: Hand) -> None:
    """Bars with the number under them."""
    x, y = corner
    bars = Image.new("L", (150, 44))
    draw, place = ImageDraw.Draw(bars), 6
    while place < 142:
        thick = rng.randint(1, 3)
        draw.rectangle((place, 0, place + thick - 1, 43), fill=255)
        place += thick + rng.randint(1, 3)
    ImageDraw.Draw(canvas.image).rectangle((x, y, x + 162, y + 70), fill=(255, 255, 255))
    block = canvas.block("barcode")
    canvas.put(bars, x + 6, y + 6, (0, 0, 0), "", block=block, line=canvas.line())
    digits = "".join(str(rng.randint(0, 9)) for _ in range(13))
    small = hand.at(13)
    words = small.words([digits])
    set_line(canvas, words, x + 81 - width_of(words, small) // 2, y + 65, small, block)
