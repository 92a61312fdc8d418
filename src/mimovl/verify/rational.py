r"""Exact value of a small arithmetic expression in TeX or plain text: ``\frac{1}{2}+3``, ``2^{-10}``, ``(1+2)/4``.

A recursive-descent parser over its own grammar; no ``eval``, no library parser. Length, nesting and the size of powers
are bounded, so text of a model can neither run code nor take time. Roots, names and functions are not in the grammar.

    sum     := product (("+" | "-") product)*
    product := power (("*" | "/") power)*
    power   := ("+" | "-") power | atom ("^" power)?
    atom    := number "%"? | "(" sum ")" | "{" sum "}" | "\frac" "{" sum "}" "{" sum "}"
"""

from __future__ import annotations

import re
from fractions import Fraction

from mimovl.verify.numerals import MAX_DIGITS, clean_latex

__all__ = ["parse_rational"]

MAX_CHARS = 400
MAX_DEPTH = 30
MAX_POWER_BITS = 4096

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)|(?P<name>\\frac)|(?P<sign>[-+*/^(){}%]))", re.ASCII
)


class _NotRational(Exception):
    """The text is outside the grammar or its bounds."""


def parse_rational(text: str) -> Fraction | None:
    """The exact value of the whole text, or None when it is not such an expression."""
    if len(text) > MAX_CHARS:
        return None
    text = clean_latex(text).rstrip(". ")
    try:
        parser = _Parser(_tokens(text))
        value = parser.sum(0)
        parser.expect("")
    except (_NotRational, ZeroDivisionError):
        return None
    return value


def _tokens(text: str) -> list[str]:
    tokens, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _NotRational
        tokens.append(match[match.lastgroup or 0])
        position = match.end()
    return [*tokens, ""]


class _Parser:
    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.position = 0

    @property
    def next(self) -> str:
        return self.tokens[self.position]

    def take(self) -> str:
        token = self.next
        self.position += 1
        return token

    def expect(self, token: str) -> None:
        if self.next != token:
            raise _NotRational
        self.position += 1

    def sum(self, depth: int) -> Fraction:
        if depth > MAX_DEPTH:
            raise _NotRational
        value = self.product(depth)
        while self.next in ("+", "-"):
            if self.take() == "+":
                value = _bounded(value + self.product(depth))
            else:
                value = _bounded(value - self.product(depth))
        return value

    def product(self, depth: int) -> Fraction:
        value = self.power(depth)
        while self.next in ("*", "/"):
            if self.take() == "*":
                value = _bounded(value * self.power(depth))
            else:
                value = _bounded(value / self.power(depth))
        return value

    def power(self, depth: int) -> Fraction:
        if depth > MAX_DEPTH:
            raise _NotRational
        if self.next in ("+", "-"):
            sign = 1 if self.take() == "+" else -1
            return sign * self.power(depth + 1)
        base = self.atom(depth)
        if self.next != "^":
            return base
        self.take()
        exponent = self.power(depth + 1)
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        if exponent.denominator != 1 or bits * abs(exponent) > MAX_POWER_BITS:
            raise _NotRational
        return base ** int(exponent)

    def atom(self, depth: int) -> Fraction:
        token = self.take() if self.next else ""
        if token in ("(", "{"):
            value = self.sum(depth + 1)
            self.expect(")" if token == "(" else "}")
            return value
        if token == r"\frac":
            self.expect("{")
            numerator = self.sum(depth + 1)
            self.expect("}")
            self.expect("{")
            denominator = self.sum(depth + 1)
            self.expect("}")
            return numerator / denominator
        digits = token.replace(",", "")
        if not digits or digits[0] not in "0123456789." or len(digits) > MAX_DIGITS:
            raise _NotRational
        value = Fraction(digits)
        if self.next == "%":
            self.take()
            value /= 100
        return value


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > 2 * MAX_POWER_BITS:
        raise _NotRational
    return value
