r"""Text → a number or expression with its unit: 5\sqrt{3} cm, 12%, ¥20, 1011_2, 2 hours 30 minutes, 五个, 二分之一."""

from __future__ import annotations

import re
from fractions import Fraction

from mimovl.verify.algebra import NotAnExpression, normalise, parse_expression
from mimovl.verify.algebra.nodes import number, variables
from mimovl.verify.math_forms import Form, Quantity
from mimovl.verify.number_words import chinese_number, english_number
from mimovl.verify.units import Unit, parse_unit

__all__ = ["read_quantities"]

_ABOUT = re.compile(
    r"^(?:about|approximately|approx\.?|around|exactly|约为?|大约|共|第(?=[\d一二三四五六七八九十])"
    r"|[\u4e00-\u9fff]{1,12}(?:为|是|等于)(?=[-+\d\\√π(]))\s*"
)
_UNIT_START = re.compile(
    r"(?<=[\d)}\]!\s.a-z])(?=[A-Za-z°%‰µμΩ¢€£¥$/\u4e00-\u9fff])"
    r"|(?<=[A-Z°])(?=[°%\u4e00-\u9fff])|(?<=[\s\d])(?=\\Omega)"
)
_CURRENCY = re.compile(r"^(-?)\s*([¥€£])\s*(?=[\d.])")
_COMPOUND = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+|[\u4e00-\u9fff]+)\s*(?:and\s*|又|,\s*)?")
_BASE = re.compile(r"([0-9A-F]+)\s*_\s*\{?\s*(\d{1,2}|two|eight|ten)\s*\}?")


def read_quantities(text: str) -> list[Form]:
    """All readings of a text as one quantity: with its unit, then as an expression alone, then as a number in words."""
    text = _ABOUT.sub("", text)
    worded = english_number(text) if text[:1].isalpha() and text.isascii() else None
    if worded is not None:
        return [Quantity(number(worded))]
    readings: list[Form] = []
    currency = _CURRENCY.match(text)
    if currency:
        text = currency[1] + text[currency.end() :]
        bare = [form for form in read_quantities(text) if isinstance(form, Quantity) and form.unit is None]
        return [Quantity(form.node, parse_unit(currency[2])) for form in bare]
    based = _BASE.fullmatch(text)
    if based:
        digits, base = based[1], {"two": 2, "eight": 8, "ten": 10}.get(based[2]) or int(based[2])
        if 2 <= base <= 16 and len(digits) < 60 and all(int(digit, 16) < base for digit in digits):
            return [Quantity(number(int(digits, base)), Unit((("numeral", base),), Fraction(int(digits, 16))))]
    readings.extend(_with_unit(text))
    try:
        readings.append(Quantity(parse_expression(normalise(text))))
    except NotAnExpression:
        value = english_number(text) if text.isascii() else chinese_number(text)
        if value is not None:
            readings.append(Quantity(number(value)))
    return readings


def _with_unit(text: str) -> list[Form]:
    for tried, match in enumerate(_UNIT_START.finditer(text)):
        if tried > 12:
            break
        unit = parse_unit(text[match.start() :])
        if unit is None:
            continue
        before = text[: match.start()].rstrip()
        spaced = text[match.start() - 1 : match.start()].isspace()
        try:
            node = parse_expression(normalise(before))
        except NotAnExpression:
            value = (english_number(before) if before.isascii() else chinese_number(before)) if before else None
            if value is None:
                continue
            node = number(value)
        if (unit.counted or not spaced) and variables(node):
            continue  # 3xm is no quantity of metres
        if unit.counted and not spaced and text[match.start()].isascii():
            continue  # 2xm is no quantity of xm
        if unit.counted and len(text) - match.start() < 2 and text[-1].isascii():
            continue  # a single letter is a variable
        return [Quantity(node, unit)]
    return _compound(text)


def _compound(text: str) -> list[Form]:
    """2 hours 30 minutes, 5小时30分."""
    position, total, dimension = 0, None, None
    for match in _COMPOUND.finditer(text):
        unit = parse_unit(match[2])
        if match.start() != position or unit is None or unit.counted or (dimension or unit.dimension) != unit.dimension:
            return []
        position, dimension = match.end(), unit.dimension
        part = unit.factor * Fraction(match[1])
        total = part if total is None else total + part
    if total is None or dimension is None or position != len(text):
        return []
    return [Quantity(number(total), Unit(dimension, Fraction(1)))]
