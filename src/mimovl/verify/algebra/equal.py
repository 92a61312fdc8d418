"""Are two expressions equal? True and False are proofs; None says that neither was found."""

from __future__ import annotations

from fractions import Fraction

from mimovl.verify.algebra.ball import Ball, NoValue, apart, ball
from mimovl.verify.algebra.evaluate import evaluate
from mimovl.verify.algebra.exact import Arithmetic, Exact, Undecided, independent
from mimovl.verify.algebra.nodes import Node, NotAnExpression, variables
from mimovl.verify.algebra.parser import parse_expression
from mimovl.verify.algebra.tokens import normalise

__all__ = ["constant_order", "constant_value", "equal", "equal_nodes", "rational_value"]

POINTS = (0.7548776662, 1.2207440846, 0.5698402910, 1.8392867552, 0.3247179572, 1.4655712319)
"""Values for variables; algebraic numbers of no low degree in common, so that nothing meets by accident."""


def equal(first: str, second: str) -> bool | None:
    """Compare two texts; None also when one is no expression."""
    try:
        return equal_nodes(parse_expression(normalise(first)), parse_expression(normalise(second)))
    except NotAnExpression:
        return None


def equal_nodes(first: Node, second: Node) -> bool | None:
    """Compare two trees. Log without a base may be to the base 10 or e; equal under either is equal."""
    if first == second:
        return True
    results = [_equal(first, second, base) for base in (("10", "e") if _has_log(first, second) else ("10",))]
    if True in results:
        return True
    return None if None in results else False


def _has_log(*nodes: Node) -> bool:
    waiting = list(nodes)
    while waiting:
        one = waiting.pop()
        if one.op == "log" and len(one.args) == 1:
            return True
        waiting.extend(one.args)
    return False


def _equal(first: Node, second: Node, log_base: str) -> bool | None:
    ends = [_infinity(node) for node in (first, second)]
    if any(ends):
        return ends[0] == ends[1]
    work = Arithmetic()
    try:
        one, two = (_value(node, work, log_base) for node in (first, second))
        if one is None or two is None:
            return False if one is not two else None  # a division by zero equals no value
        same, cross = work.is_zero_difference(one, two)
        if same:
            return True
        if independent(cross):
            return False
    except Undecided:
        pass
    except RecursionError:
        return None
    return False if _differ(first, second, 10.0 if log_base == "10" else 2.718281828459045) else None


def _infinity(node: Node) -> int:
    """1 and −1 for infinity and its negative, 0 for everything else."""
    if node.op == "neg":
        return -_infinity(node.args[0])
    return 1 if node.op == "name" and node.name == "inf" else 0


def _value(node: Node, work: Arithmetic, log_base: str) -> Exact | None:
    try:
        return evaluate(node, work, log_base=log_base)
    except ZeroDivisionError:
        return None


def _differ(first: Node, second: Node, log_base: float) -> bool:
    """Whether they differ at one of two points; a single side without a value there says nothing."""
    names = sorted(variables(first) | variables(second))
    for shift in range(2 if names else 1):
        point = {name: POINTS[(index + 3 * shift) % len(POINTS)] + index // 6 for index, name in enumerate(names)}
        try:
            if apart(ball(first, point, log_base=log_base), ball(second, point, log_base=log_base)):
                return True
        except (NoValue, RecursionError):
            continue
    return False


def constant_value(node: Node) -> float | None:
    """A real number near an expression without variables, for putting ends of intervals in order; else None."""
    if node.op == "name" and node.name == "inf":
        return float("inf")
    if node.op == "neg" and node.args[0].op == "name" and node.args[0].name == "inf":
        return float("-inf")
    try:
        found: Ball = ball(node, {})
    except (NoValue, RecursionError):
        return None
    return found.centre.real if abs(found.centre.imag) <= max(found.radius, 1e-12) else None


def constant_order(first: Node, second: Node) -> int | None:
    """−1, 0 or 1 as the first constant is smaller, equal or larger; None where neither is known."""
    if equal_nodes(first, second):
        return 0
    one, two = constant_value(first), constant_value(second)
    return None if one is None or two is None else -1 if one < two else 1


def rational_value(node: Node) -> Fraction | None:
    """The exact value of an expression that is a rational number, else None."""
    if node.op == "number":
        return node.value
    work = Arithmetic()
    try:
        value: Exact = evaluate(node, work)
        return value.rational()
    except (Undecided, ZeroDivisionError, RecursionError):
        return None
