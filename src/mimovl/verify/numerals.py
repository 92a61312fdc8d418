r"""Numbers as models write them, read exactly: 1,234.5 · −3/4 · \frac{3}{4} · 1 1/2 · 6.02\times10^{23} · 50% · 12 cm.

A value is a ``Fraction``, so nothing is rounded and 2^-99 never equals 2^-98. Nothing is evaluated: an expression such
as 2+3 or 10**100000 is not a number, so that copying the question into the box earns nothing.
"""

from __future__ import annotations

import numbers
import re
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from mimovl.errors import DataError
from mimovl.verify.answer import Answer, after_marker, plain, tail, to_ascii
from mimovl.verify.number_words import (
    chinese_number,
    english_number,
    find_chinese_numbers,
    find_english_numbers,
)

__all__ = ["Quantity", "Reading", "clean_latex", "gold_quantity", "parse_quantity", "read_number"]

MAX_DIGITS = 400
"""A longer digit string or a larger power of ten is not read: no answer needs it, and it would cost time."""

MAX_LITERAL_CHARS = 1200


class Quantity(NamedTuple):
    """An exact value and the unit written behind it, if any."""

    value: Fraction
    unit: str = ""


class Reading(NamedTuple):
    """What was read: ``quantity`` is None when an answer is there but is no number."""

    quantity: Quantity | None
    text: str
    rule: str


_LATEX = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\[()\[\]]|\\?\$|\\[,;:!]|\\ |~|\\(?:left|right|displaystyle)(?![A-Za-z])", " "),
        (r"\{,\}", ","),
        (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        (r"\\frac\s*(\d)\s*(\d)(?!\d)", r"\\frac{\1}{\2}"),
        (r"\\%", "%"),
        (r"\\(?:times|cdot|ast)(?![A-Za-z])", "*"),
        (r"\\div(?![A-Za-z])", "/"),
        (r"\\(?:text|textbf|textrm|mathrm|mathbf|mbox|rm)\s*\{([^{}]*)\}", r" \1 "),
        (r"\^\s*\{?\s*\\circ\s*\}?", "°"),
        (r"\s+", " "),
    )
]


def clean_latex(text: str) -> str:
    r"""Drop TeX spacing and math delimiters, unify ``\dfrac``, ``\cdot``, ``\text`` and Unicode signs."""
    text = to_ascii(text)
    for pattern, replacement in _LATEX:
        text = pattern.sub(replacement, text)
    return text.strip()


_INTEGER = r"(?:\d{1,3}(?:[, ]\d{3})+|\d+)"
_DECIMAL = rf"(?:{_INTEGER}(?:\.\d*)?|\.\d+)"
_SINGLE_UNITS = "mm cm dm m km mg g kg t ml l L s min h ms px A V W N J K Hz".split()
_LITERAL = re.compile(
    rf"(?P<currency>[¥€£])?\s?(?P<sign>[-+])?\s?[¥€£]?(?:"
    rf"(?P<whole>\d+)?\s?\\frac\s?\{{\s?(?P<num1>{_INTEGER})\s?\}}\s?\{{\s?(?P<den1>{_INTEGER})\s?\}}"
    rf"|(?:(?P<mixed>\d+) )?(?P<num2>{_INTEGER})\s?/\s?(?P<den2>{_INTEGER})"
    rf"|(?P<decimal>{_DECIMAL})(?:[eE](?P<exp1>[-+]?\d+)|\s?\*\s?10\s?\^\s?\{{?\s?(?P<exp2>[-+]?\s?\d+)\s?\}}?)?"
    rf")(?:\s?(?P<percent>%)|(?P<unit>(?:{'|'.join(_SINGLE_UNITS)})(?![A-Za-z])|\s?°[CF]?|\s?[\u4e00-\u9fff]{{1,6}}"
    rf"| [A-Za-z\u00b5\u03a9][A-Za-z\u00b2\u00b3/ -]{{0,30}})?)",
    re.ASCII,
)
_NOT_A_UNIT = re.compile(r"(?<!\S)[a-zA-Z](?!\S)|\b(?:or|and|to|than|not|plus|minus|times|out|of|per cent)\b")


_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "万": 10**4, "亿": 10**8}


def parse_quantity(text: str) -> Quantity | None:
    """Read a text that is one number, with or without a unit; None when it is anything else."""
    if len(text) > MAX_LITERAL_CHARS:
        return None
    text = clean_latex(text).rstrip(".。 ")
    match = _LITERAL.fullmatch(text)
    if match is None:
        signed = re.sub(r"^(?:minus|negative)\s+", "", text, flags=re.IGNORECASE)
        value = english_number(signed) or chinese_number(text)
        if value is not None and signed != text:
            value = -value
        if value is None and text.lower() in ("zero", "none", "零", "〇"):
            value = Fraction(0)
        return None if value is None else Quantity(value)
    unit = " ".join((match["unit"] or "").split())
    scale = _SCALES.get(unit.partition(" ")[0].lower())
    if scale:
        unit = unit.partition(" ")[2]
    if unit not in _SINGLE_UNITS and _NOT_A_UNIT.search(unit):
        return None
    value = _literal_value(match)
    return None if value is None else Quantity(value * (scale or 1), unit)


def _literal_value(match: re.Match[str]) -> Fraction | None:
    if match["decimal"] is not None:
        mantissa, exponent = match["decimal"], (match["exp1"] or match["exp2"] or "0").replace(" ", "")
        if len(mantissa) > MAX_DIGITS or len(exponent) > 5 or abs(int(exponent)) > MAX_DIGITS:
            return None
        value = Fraction(_digits(mantissa)) * Fraction(10) ** int(exponent)
    else:
        numerator, denominator = match["num1"] or match["num2"], match["den1"] or match["den2"]
        whole = match["whole"] or match["mixed"] or "0"
        if max(len(numerator), len(denominator), len(whole)) > MAX_DIGITS or int(_digits(denominator)) == 0:
            return None
        value = int(whole) + Fraction(int(_digits(numerator)), int(_digits(denominator)))
    if match["percent"]:
        value /= 100
    return -value if match["sign"] == "-" else value


def _digits(text: str) -> str:
    return text.replace(",", "").replace(" ", "")


_TOKEN = re.compile(
    rf"(?<![\w.])(?:(?<![\d)\]])-)?(?:\d+ ?/ ?\d+(?![\d/])|\d{{1,3}}(?:,\d{{3}})+(?![\d,]\d)(?:\.\d+)?|\d+(?:\.\d+)?)"
    rf"(?:[eE][-+]?\d+)?(?: ?%|(?= ?(?:{'|'.join(_SINGLE_UNITS)})(?![A-Za-z])))?(?![\w^\u00b2\u00b3\u00b9]|[.,:]\d)",
    re.ASCII,
)
_UNIT_TOKEN = re.compile(rf"(?<![\w.])(?P<number>-?\d+(?:\.\d+)?)(?:{'|'.join(_SINGLE_UNITS)})(?![A-Za-z])", re.ASCII)
_OPERAND_BEFORE = re.compile(r"[\w)}%]\s*(?:[-+*/^]|\*\*)\s*[-+({]*$|\d\s?:\s?$")
_OPERAND_AFTER = re.compile(r"\s*(?:[*/^]|[-+]\s*[\d(])")


def _find_quantities(text: str) -> list[Quantity | None]:
    """Numbers of a sentence in order; None for one that is only part of an expression or a range."""
    found: list[tuple[int, Quantity | None]] = []
    for match in _TOKEN.finditer(text):
        operand = _OPERAND_BEFORE.search(text[max(0, match.start() - 8) : match.start()]) or _OPERAND_AFTER.match(
            text, match.end()
        )
        found.append((match.start(), None if operand else parse_quantity(match[0])))
    for match in _UNIT_TOKEN.finditer(text):
        found.append((match.start(), parse_quantity(match["number"])))
    return [quantity for _, quantity in sorted(found, key=lambda pair: pair[0])]


_HEDGE = re.compile(
    r"\b(?:between\s+\S+\s+and|either\s+\S+\s+or)\s+\S+\s*$|(?:\d|[a-z]{3,8})\s*(?:\bor\b|\bto\b|或者?|到|至|~)\s*"
    r"(?:\d[\d.,]*|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|[一二三四五六七八九十两]+)\s*"
    r"(?:[a-z]{1,20}|[\u4e00-\u9fff]{0,4})?\s*[.。]?\s*$",
    re.IGNORECASE,
)
"""An answer that ends in two numbers to choose from: "3 or 4", "between 3 and 4", "3 to 4 dogs"."""


def _find_words(text: str) -> list[Quantity]:
    if re.search(r"一.?(?:也|都)没有", text):
        return [Quantity(Fraction(0))]
    english = find_english_numbers(text)
    if any(number != 1 for number in english):
        english = [number for number in english if number != 1]  # "two, and the blue one" says two
    words = [Quantity(value) for value in find_chinese_numbers(text)] or [Quantity(Fraction(n)) for n in english]
    if not words and re.search(r"\bnone\b|\bthere (?:is|are) no\b|没有", text, re.IGNORECASE):
        words = [Quantity(Fraction(0))]
    return words


def _hedged(text: str) -> str:
    """The hedge at the end of a text if its two sides are two different numbers."""
    match = _HEDGE.search(text)
    if match is None:
        return ""
    numbers = [one for one in (*_find_quantities(match[0]), *_find_words(match[0])) if one is not None]
    return match[0].strip() if len({one.value for one in numbers}) > 1 else ""


def read_number(answer: Answer) -> Reading | None:
    r"""Read the number an answer gives; None when it holds no number at all.

    In this order: the whole text is a number; the right side of its last ``=``; what follows "the answer is"; in a
    boxed text the only number; in a sentence its last number (digits before words). A number that is an operand of an
    expression (the 3 of 2+3) is never read.
    """
    text = plain(answer.text) if len(answer.text) <= MAX_LITERAL_CHARS else answer.text
    where = "boxed" if answer.boxed else "text"
    quantity = parse_quantity(text)
    if quantity is not None:
        return Reading(quantity, text, f"{where}: whole")
    sentence = clean_latex(tail(text))
    right = sentence.rpartition("=")[2].strip() if "=" in sentence else ""
    if right and (quantity := parse_quantity(plain(right))) is not None:
        return Reading(quantity, right, f"{where}: after =")
    if answer.boxed:
        numbers = _find_quantities(right or sentence) or list(_find_words(sentence))
        only = numbers[0] if len(numbers) == 1 else None
        return Reading(only, text, "boxed: only number" if only else "boxed: not one number")
    marked = clean_latex(after_marker(text) or "").rpartition("=")[2].strip()
    if _HEDGE.search(sentence[-120:]) and (hedged := _hedged(sentence[-120:])):
        return Reading(None, hedged, "text: more than one number")
    for part, rule in ((marked, "text: after answer"), (sentence, "text: last number")):
        if part and (quantity := parse_quantity(plain(part))) is not None:
            return Reading(quantity, part, rule)
        numbers = _find_quantities(part) or list(_find_words(part))
        if numbers:
            # "the answer is 5 because …" opens with it; a sentence ends with it
            number = numbers[0] if part is marked and re.match(r"\W*\d", part) else numbers[-1]
            return Reading(number, part, rule) if number is not None else None
    return None


def gold_quantity(gold: Any) -> Quantity:
    """Read a gold number: an int, float, Fraction, Decimal or text.

    Raises:
        DataError: the gold is not one number.
    """
    quantity: Quantity | None = None
    if isinstance(gold, bool):
        pass
    elif isinstance(gold, numbers.Integral | Fraction):
        quantity = Quantity(Fraction(gold) if isinstance(gold, Fraction) else Fraction(int(gold)))
    elif isinstance(gold, numbers.Real | Decimal):
        text = str(gold)  # the decimal one sees, not the binary value of a float
        if text.lower().lstrip("-") not in ("nan", "inf", "infinity"):
            quantity = Quantity(Fraction(text))
    elif isinstance(gold, str):
        quantity = parse_quantity(gold)
    if quantity is None:
        raise DataError(f"gold answer {str(gold)[:80]!r} is not a number; give an int, a float or a text such as '3/4'")
    return quantity
