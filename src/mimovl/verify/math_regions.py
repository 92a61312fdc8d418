"""Sets of real numbers as pieces between ends that are expressions: unions, intersections, linear inequalities."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from mimovl.verify.algebra import Node, constant_order
from mimovl.verify.algebra.evaluate import evaluate
from mimovl.verify.algebra.exact import ONE, Arithmetic, Undecided
from mimovl.verify.algebra.nodes import call, number, variables

__all__ = ["ALL", "NONE", "Piece", "complement", "intersection", "joined", "point", "same_region", "solve_linear"]

_INFINITY = Node("name", name="inf")
_MINUS_INFINITY = call("neg", _INFINITY)


class Piece(NamedTuple):
    """From ``low`` to ``high``; an end belongs to it where it is closed."""

    low: Node
    low_closed: bool
    high: Node
    high_closed: bool


ALL: tuple[Piece, ...] = (Piece(_MINUS_INFINITY, False, _INFINITY, False),)
NONE: tuple[Piece, ...] = ()


def point(node: Node) -> Piece:
    """One number."""
    return Piece(node, True, node, True)


def _infinite(node: Node) -> bool:
    return node == _INFINITY or node == _MINUS_INFINITY


class _Unordered(Exception):
    """Two ends whose order is not known."""


def _order(first: Node, second: Node) -> int:
    if first == second:
        return 0
    order = constant_order(first, second)
    if order is None:
        raise _Unordered
    return order


def intersection(first: Sequence[Piece], second: Sequence[Piece]) -> tuple[Piece, ...] | None:
    """What lies in both; None where the order of ends is not known."""
    found: list[Piece] = []
    try:
        for one in first:
            for two in second:
                piece = _overlap(one, two)
                if piece is not None:
                    found.append(piece)
    except _Unordered:
        return None
    return tuple(found)


def _overlap(one: Piece, two: Piece) -> Piece | None:
    order = _order(one.low, two.low)
    low, low_closed = (one.low, one.low_closed) if order > 0 else (two.low, two.low_closed)
    if order == 0:
        low_closed = one.low_closed and two.low_closed
    order = _order(one.high, two.high)
    high, high_closed = (one.high, one.high_closed) if order < 0 else (two.high, two.high_closed)
    if order == 0:
        high_closed = one.high_closed and two.high_closed
    order = _order(low, high)
    if order > 0 or (order == 0 and not (low_closed and high_closed)):
        return None
    return Piece(low, low_closed, high, high_closed)


def complement(pieces: Sequence[Piece]) -> tuple[Piece, ...] | None:
    """Everything else; None where the order of ends is not known."""
    rest: tuple[Piece, ...] | None = ALL
    for piece in pieces:
        outside: list[Piece] = []
        if not _infinite(piece.low):
            outside.append(Piece(_MINUS_INFINITY, False, piece.low, not piece.low_closed))
        if not _infinite(piece.high):
            outside.append(Piece(piece.high, not piece.high_closed, _INFINITY, False))
        rest = intersection(rest, outside) if rest is not None else None
    return rest


def joined(pieces: Sequence[Piece]) -> tuple[Piece, ...] | None:
    """The same set in order, without pieces that touch or overlap; None where the order of ends is not known."""
    result: list[Piece] = []
    waiting = [
        Piece(p.low, p.low_closed and not _infinite(p.low), p.high, p.high_closed and not _infinite(p.high))
        for p in pieces
    ]
    try:
        for piece in waiting:
            index = 0
            while index < len(result) and _order(result[index].low, piece.low) < 0:
                index += 1
            result.insert(index, piece)
        merged: list[Piece] = []
        for piece in result:
            order = _order(piece.low, piece.high)
            if order > 0 or (order == 0 and not (piece.low_closed and piece.high_closed)):
                continue
            if merged and _touch(merged[-1], piece):
                merged[-1] = _merge(merged[-1], piece)
            else:
                merged.append(piece)
    except _Unordered:
        return None
    return tuple(merged)


def _touch(first: Piece, second: Piece) -> bool:
    order = _order(first.high, second.low)
    return order > 0 or (order == 0 and (first.high_closed or second.low_closed))


def _merge(first: Piece, second: Piece) -> Piece:
    low_closed = first.low_closed or (_order(first.low, second.low) == 0 and second.low_closed)
    order = _order(first.high, second.high)
    if order == 0:
        return Piece(first.low, low_closed, first.high, first.high_closed or second.high_closed)
    high = first if order > 0 else second
    return Piece(first.low, low_closed, high.high, high.high_closed)


def same_region(first: Sequence[Piece], second: Sequence[Piece]) -> bool | None:
    """Whether two regions are the same set; None where the order of ends is not known and they are written apart."""
    from mimovl.verify.algebra import equal_nodes

    one, two = joined(first), joined(second)
    known = one is not None and two is not None
    one, two = one if one is not None else tuple(first), two if two is not None else tuple(second)
    if len(one) != len(two):
        return False if known else None
    undecided = False
    for left, right in zip(one, two, strict=True):
        if (left.low_closed, left.high_closed) != (right.low_closed, right.high_closed):
            return False if known or len(one) == 1 else None
        for end, other in ((left.low, right.low), (left.high, right.high)):
            same = True if end == other else None if _infinite(end) or _infinite(other) else equal_nodes(end, other)
            if (_infinite(end) or _infinite(other)) and end != other:
                same = False
            if same is False:
                return False if known or len(one) == 1 else None
            undecided = undecided or same is None
    return None if undecided else True


def solve_linear(left: Node, right: Node, sign: str) -> tuple[Piece, ...] | None:
    r"""The numbers for which ``left sign right`` holds, one variable in first degree; None for anything else.

    ``sign`` is <, >, \le, \ge or \ne.
    """
    names = variables(left) | variables(right)
    if len(names) != 1:
        return None
    if right.op == "abs" and not variables(left):
        left, right, sign = right, left, {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le"}.get(sign, sign)
    if left.op == "abs" and not variables(right) and sign != "\\ne":
        return _absolute(left.args[0], right, sign)
    if left.op == "name" and not variables(right):
        return _half(right, sign, flipped=False)
    if right.op == "name" and not variables(left):
        return _half(left, sign, flipped=True)
    [name] = names
    work = Arithmetic()
    try:
        difference = evaluate(call("add", left, call("neg", right)), work)
    except (Undecided, ZeroDivisionError):
        return None
    slope = difference.num.get((("v:" + name, Fraction(1)),))
    constant = difference.num.get((), Fraction(0))
    if difference.den is not ONE or not slope or len(difference.num) > (2 if constant else 1):
        return None
    return _half(number(-constant / slope), sign, flipped=slope < 0)


def _absolute(inner: Node, bound: Node, sign: str) -> tuple[Piece, ...] | None:
    """|u| < c is −c < u < c; |u| > c is u < −c or u > c."""
    below = sign in ("<", "\\le")
    opposite = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le"}[sign]
    upper, lower = solve_linear(inner, bound, sign), solve_linear(inner, call("neg", bound), opposite)
    if upper is None or lower is None:
        return None
    return intersection(upper, lower) if below else (*lower, *upper)


def _half(end: Node, sign: str, *, flipped: bool) -> tuple[Piece, ...]:
    if sign == "\\ne":
        return Piece(_MINUS_INFINITY, False, end, False), Piece(end, False, _INFINITY, False)
    below = (sign in ("<", "\\le")) != flipped
    closed = sign in ("\\le", "\\ge")
    if below:
        return (Piece(_MINUS_INFINITY, False, end, closed),)
    return (Piece(end, closed, _INFINITY, False),)
