"""Tree → a floating-point number with a bound on its error, to prove that two expressions differ.

Every operation adds the rounding it causes and passes on what its arguments bring, so two values whose balls do not
meet are different numbers. Balls that meet prove nothing.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Mapping
from typing import NamedTuple

from mimovl.verify.algebra.nodes import Node

__all__ = ["Ball", "NoValue", "apart", "ball"]

EPSILON = 4e-16
HUGE = 1e280


class NoValue(Exception):
    """No value, or none that can be bounded."""


class Ball(NamedTuple):
    """All complex numbers within ``radius`` of ``centre``."""

    centre: complex
    radius: float


def apart(first: Ball, second: Ball) -> bool:
    """Whether no number lies in both."""
    return abs(first.centre - second.centre) > (first.radius + second.radius) * 1.01


def ball(node: Node, names: Mapping[str, float], *, log_base: float = 10.0) -> Ball:
    """Evaluate a tree with numbers for its variables.

    Raises:
        NoValue: it has none, or it cannot be bounded.
    """
    try:
        result = _ball(node, names, log_base)
    except (OverflowError, ZeroDivisionError, ValueError) as error:
        raise NoValue from error
    if not (abs(result.centre) < HUGE and result.radius < HUGE):  # NaN is caught as well
        raise NoValue
    return result


def _made(centre: complex, radius: float) -> Ball:
    return Ball(centre, radius + EPSILON * abs(centre))


def _ball(node: Node, names: Mapping[str, float], log_base: float) -> Ball:
    op = node.op
    if op == "number":
        return _made(complex(float(node.value)), 0.0)
    if op == "name":
        known: dict[str, complex] = {"pi": math.pi, "e": math.e, "i": 1j}
        if node.name in known:
            return _made(known[node.name], 0.0)
        if node.name not in names:
            raise NoValue
        return Ball(complex(names[node.name]), 0.0)
    values = [_ball(argument, names, log_base) for argument in node.args]
    first = values[0]
    if op == "add":
        total = first
        for value in values[1:]:
            total = _made(total.centre + value.centre, total.radius + value.radius)
        return total
    if op == "neg":
        return Ball(-first.centre, first.radius)
    if op == "mul":
        return _multiply(first, values[1])
    if op == "div":
        return _multiply(first, _inverse(values[1]))
    if op == "pow":
        return _power(first, values[1])
    if op == "root":
        return _root(values[1], values[0])
    return _function(op, values, log_base)


def _multiply(first: Ball, second: Ball) -> Ball:
    radius = abs(first.centre) * second.radius + abs(second.centre) * first.radius + first.radius * second.radius
    return _made(first.centre * second.centre, radius)


def _inverse(value: Ball) -> Ball:
    size = abs(value.centre)
    if size <= 2 * value.radius:
        raise NoValue
    return _made(1 / value.centre, value.radius / (size * (size - value.radius)))


def _logarithm(value: Ball) -> Ball:
    size = abs(value.centre)
    if size <= 2 * value.radius or (value.centre.real < 0 and abs(value.centre.imag) <= 2 * value.radius + 1e-300):
        raise NoValue  # around zero, or across the cut
    return _made(cmath.log(value.centre), value.radius / (size - value.radius) + EPSILON)


def _exponential(value: Ball) -> Ball:
    centre = cmath.exp(value.centre)
    return _made(centre, abs(centre) * (math.expm1(value.radius) + EPSILON * (1 + abs(value.centre))))


def _power(base: Ball, exponent: Ball) -> Ball:
    whole = exponent.radius <= EPSILON * abs(exponent.centre) and exponent.centre == round(exponent.centre.real)
    if whole and abs(exponent.centre) <= 64:
        result = Ball(1 + 0j, 0.0)
        for _ in range(abs(round(exponent.centre.real))):
            result = _multiply(result, base)
        return result if exponent.centre.real >= 0 else _inverse(result)
    if base.centre.imag == 0 and base.centre.real < 0:
        return _root(base, _inverse(exponent))
    return _exponential(_multiply(_logarithm(base), exponent))


def _root(value: Ball, index: Ball) -> Ball:
    """The real root of a negative number where the index is odd."""
    if value.centre == 0 and value.radius == 0:
        return value
    degree = index.centre.real
    if value.centre.imag == 0 and value.centre.real < 0 and abs(degree - round(degree)) < 1e-9 and round(degree) % 2:
        root = _root(Ball(-value.centre, value.radius), index)
        return Ball(-root.centre, root.radius)
    if value.centre.imag == 0 and value.centre.real < 0 and abs(degree - 2) < 1e-9:
        root = _root(Ball(-value.centre, value.radius), index)
        return Ball(root.centre * 1j, root.radius)
    return _exponential(_multiply(_logarithm(value), _inverse(index)))


def _function(op: str, values: list[Ball], log_base: float) -> Ball:
    first = values[0]
    if op == "sqrt":
        return _root(first, Ball(2 + 0j, 0.0))
    if op == "degree":
        return _multiply(first, _made(complex(math.pi / 180), 0.0))
    if op == "exp":
        return _exponential(first)
    if op == "ln":
        return _logarithm(first)
    if op in ("log", "lg"):
        base, inner = (values[0], values[1]) if len(values) == 2 else (_made(complex(log_base), 0.0), first)
        return _multiply(_logarithm(inner), _inverse(_logarithm(base)))
    if op in ("sin", "cos", "tan", "cot", "sec", "csc"):
        return _trigonometric(op, first)
    if op in ("sinh", "cosh", "tanh"):
        up, down = _exponential(first), _exponential(Ball(-first.centre, first.radius))
        difference = _made(up.centre - down.centre, up.radius + down.radius)
        total = _made(up.centre + down.centre, up.radius + down.radius)
        half = Ball(0.5 + 0j, 0.0)
        if op == "tanh":
            return _multiply(difference, _inverse(total))
        return _multiply(half, difference if op == "sinh" else total)
    return _real_function(op, values)


def _trigonometric(op: str, value: Ball) -> Ball:
    if value.radius > 1 or abs(value.centre.imag) > 30:
        raise NoValue
    growth = math.cosh(abs(value.centre.imag) + value.radius) * (value.radius + EPSILON * (1 + abs(value.centre)))
    sine, cosine = _made(cmath.sin(value.centre), growth), _made(cmath.cos(value.centre), growth)
    if op == "sin":
        return sine
    if op == "cos":
        return cosine
    if op in ("tan", "cot"):
        return _multiply(sine, _inverse(cosine)) if op == "tan" else _multiply(cosine, _inverse(sine))
    return _inverse(cosine if op == "sec" else sine)


def _real_function(op: str, values: list[Ball]) -> Ball:
    first = values[0]
    if op == "abs":
        return _made(complex(abs(first.centre)), first.radius)
    if abs(first.centre.imag) > first.radius:
        raise NoValue
    real = first.centre.real
    if op in ("arcsin", "arccos", "arctan"):
        slack = 1.0
        if op != "arctan":
            if abs(real) + first.radius >= 1 - 1e-9:
                raise NoValue
            slack = 1 / math.sqrt(1 - (abs(real) + first.radius) ** 2)
        inverse = {"arcsin": math.asin, "arccos": math.acos, "arctan": math.atan}[op]
        return _made(complex(inverse(real)), first.radius * slack + EPSILON)
    if op in ("floor", "ceil"):
        below, above = real - first.radius, real + first.radius
        whole = math.floor if op == "floor" else math.ceil
        if whole(below) != whole(above):
            raise NoValue
        return Ball(complex(whole(real)), 0.0)
    if op == "factorial" and first.radius < 1e-9 and real == round(real) and 0 <= real <= 160:
        return _made(complex(math.factorial(round(real))), 0.0)
    if op == "binom" and all(v.radius < 1e-9 and v.centre.real == round(v.centre.real) for v in values):
        upper, lower = (round(v.centre.real) for v in values)
        if 0 <= lower <= upper <= 500:
            return _made(complex(math.comb(upper, lower)), 0.0)
    raise NoValue
