"""The tree of an expression."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

__all__ = ["Node", "NotAnExpression", "call", "number", "variables"]


class NotAnExpression(Exception):
    """The text is outside the grammar or its bounds; caught inside this package."""


class Node(NamedTuple):
    """One operation on its arguments.

    ``op`` is number (``value`` holds it), name (a variable or a constant: pi, e, i, inf), add, mul, div, neg, pow,
    or a function: sqrt, root (index, radicand), ln, log (argument, or base and argument), exp, sin, …, abs, floor,
    ceil, factorial, binom, degree (an angle in degrees as radians).
    """

    op: str
    args: tuple[Node, ...] = ()
    value: Fraction = Fraction(0)
    name: str = ""


def number(value: Fraction | int) -> Node:
    """The tree of a rational number."""
    return Node("number", value=Fraction(value))


def call(op: str, *args: Node) -> Node:
    """The tree of an operation."""
    return Node(op, args)


CONSTANTS = frozenset({"pi", "e", "i", "inf"})


def variables(node: Node) -> frozenset[str]:
    """Names in a tree that are no constants."""
    found: set[str] = set()
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if one.op == "name" and one.name not in CONSTANTS:
            found.add(one.name)
        waiting.extend(one.args)
    return frozenset(found)
