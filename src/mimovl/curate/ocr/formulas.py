r"""Formulas, drawn by matplotlib's mathtext (extra ``ocr``), with their LaTeX: fractions, roots, sums, Greek.

A formula is grown from a small grammar, so that no two are alike, and is one element: its text is its LaTeX.
"""

from __future__ import annotations

import importlib.util
import random
from typing import Any

import numpy as np
from PIL import Image

from mimovl.curate.ocr.backgrounds import paper
from mimovl.curate.ocr.canvas import Canvas
from mimovl.curate.ocr.setting import Stock, set_line, set_paragraph
from mimovl.errors import MissingExtraError

__all__ = ["draw_formula", "make_formulas", "require_matplotlib", "some_formula"]

_GREEK = (r"\alpha", r"\beta", r"\gamma", r"\theta", r"\lambda", r"\mu", r"\pi", r"\sigma", r"\phi", r"\omega")
_LETTERS = "abcfgkmnpqrstuvwxyz"
_FUNCTIONS = (r"\sin", r"\cos", r"\tan", r"\log", r"\ln", r"\exp")
_RELATIONS = ("=", "=", "=", r"\leq", r"\geq", r"\approx", r"\neq", "<", ">")
_FONTS = ("cm", "stix", "dejavusans", "dejavuserif")
_POINTS_PER_INCH = 72


def require_matplotlib() -> None:
    """Make sure that formulas can be drawn.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib", "ocr", "drawing formulas")


def some_formula(rng: random.Random) -> str:
    r"""An equation or inequality in LaTeX, tokens that need it apart by a space: ``\frac{a + 1}{b} = \sqrt{x}``."""
    kind = rng.random()
    right = _term(rng, 2)
    if kind < 0.15:
        low, high = f"{rng.choice('ijkn')} = {rng.randint(0, 1)}", rng.choice(("n", "m", r"\infty"))
        left = rf"\sum_{{{low}}}^{{{high}}} {_term(rng, 1)}"
    elif kind < 0.3:
        low, high = rng.choice("0a1"), rng.choice(("b", r"\pi", "t"))
        left = rf"\int_{{{low}}}^{{{high}}} {_term(rng, 1)} \, dx"
    elif kind < 0.4:
        left = rf"\lim_{{x \to {rng.choice(('0', 'a', chr(92) + 'infty'))}}} {_term(rng, 1)}"
    else:
        left = _term(rng, 2)
    return f"{left} {rng.choice(_RELATIONS)} {right}"


def draw_formula(latex: str, size: int, family: str = "cm") -> Image.Image:
    r"""A formula's coverage, mode L, cut to its ink.

    Args:
        latex: without dollar signs, of the part of LaTeX that mathtext knows.
        size: of the letters, pixels.
        family: one of matplotlib's mathtext font sets.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.font_manager import FontProperties
    from matplotlib.mathtext import MathTextParser

    properties = FontProperties(size=size, math_fontfamily=family)
    parser: Any = MathTextParser("agg")
    drawn = parser.parse(f"${latex}$", dpi=_POINTS_PER_INCH, prop=properties)
    coverage = Image.fromarray(np.asarray(drawn.image, dtype=np.uint8))
    extent = coverage.getbbox()
    assert extent is not None, f"a formula without ink: {latex}"
    return coverage.crop(extent)


def make_formulas(rng: random.Random, stock: Stock) -> Canvas:
    """A page of a textbook: running text and one to four numbered formulas, each a block with its LaTeX."""
    width = rng.choice((448, 504, 560, 616))
    family = rng.choice(_FONTS)
    hand = stock.hand(rng, rng.randint(15, 19), (20, 20, 24))
    size = rng.randint(20, 28)
    drawn = []
    for _ in range(rng.randint(1, 4)):
        latex = some_formula(rng)
        mask = draw_formula(latex, size, family)
        while mask.width > width - 140:
            latex = some_formula(rng)
            mask = draw_formula(latex, size, family)
        drawn.append((latex, mask))
    text_lines = 2
    height = 48 + sum(mask.height + 28 + text_lines * hand.pitch for _, mask in drawn)
    height = -(-height // 28) * 28
    canvas = Canvas.on(paper(rng, (width, height)), chinese=stock.chinese)
    phrases, y = stock.phrases(rng), 24
    for number, (latex, mask) in enumerate(drawn, rng.randint(1, 40)):
        box = (32, y, width - 32, y + text_lines * hand.pitch)
        y = set_paragraph(canvas, phrases.sentence(), box, hand, canvas.block("text")) + 12
        block, line = canvas.block("formula", latex), canvas.line()
        canvas.put(mask, (width - mask.width) // 2, y, hand.colour, latex, block=block, line=line)
        words = hand.words([f"({number})"])
        base = y + mask.height // 2 + hand.size // 3
        set_line(canvas, words, width - 36 - 3 * hand.size, base, hand, canvas.block("formula number"))
        y += mask.height + 14
    return canvas


def _term(rng: random.Random, depth: int) -> str:
    """A sum, product, fraction, root, power or function, no deeper than ``depth``."""
    if depth == 0:
        return _atom(rng)
    kind = rng.choice(("sum", "sum", "fraction", "fraction", "root", "power", "function", "product", "index"))
    one, two = _term(rng, depth - 1), _term(rng, depth - 1)
    if kind == "sum":
        return f"{one} {rng.choice('+-')} {two}"
    if kind == "fraction":
        return rf"\frac{{{one}}}{{{two}}}"
    if kind == "root":
        return rf"\sqrt{{{one}}}" if rng.random() < 0.7 else rf"\sqrt[3]{{{one}}}"
    if kind == "power":
        return rf"{_letter(rng)}^{{{rng.choice(('2', '3', 'n', '-1', _atom(rng)))}}}"
    if kind == "function":
        return rf"{rng.choice(_FUNCTIONS)} \left( {one} \right)"
    if kind == "index":
        return rf"{_letter(rng)}_{{{rng.choice('ijkn012')}}}"
    return rf"{rng.randint(2, 9)} {_letter(rng)}"


def _atom(rng: random.Random) -> str:
    return str(rng.randint(1, 99)) if rng.random() < 0.3 else _letter(rng)


def _letter(rng: random.Random) -> str:
    return rng.choice(_GREEK) if rng.random() < 0.25 else rng.choice(_LETTERS)
