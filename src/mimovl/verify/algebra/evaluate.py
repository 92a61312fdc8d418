"""Tree → exact value."""

from __future__ import annotations

from fractions import Fraction
from math import comb, factorial

from mimovl.verify.algebra.exact import ONE, Arithmetic, Exact, Undecided, generator, is_rational, key, rational
from mimovl.verify.algebra.nodes import Node
from mimovl.verify.algebra.powers import absolute, logarithm, power
from mimovl.verify.algebra.trigonometry import ANGLE_FUNCTIONS, INVERSE_FUNCTIONS, trigonometric

__all__ = ["evaluate"]

MAX_FACTORIAL = 3000
MAX_LOWER = 12


def evaluate(node: Node, work: Arithmetic, *, log_base: str = "10") -> Exact:
    """Evaluate a tree exactly.

    Args:
        node: the tree.
        work: the arithmetic, with what is left of its budget.
        log_base: what log without a base means: "10" or "e".

    Raises:
        Undecided: it is not resolved, or the budget is spent.
        ZeroDivisionError: it has no value.
    """
    work.spend(1)
    op = node.op
    if op == "number":
        return Exact({(): node.value} if node.value else {})
    if op == "name":
        if node.name == "inf":
            raise Undecided
        return generator(f"c:{node.name}" if node.name in ("pi", "e", "i") else f"v:{node.name}")
    values = [evaluate(argument, work, log_base=log_base) for argument in node.args]
    if op == "add":
        return work.total(values)
    if op == "neg":
        return work.negate(values[0])
    if op == "mul":
        return work.multiply(values[0], values[1])
    if op == "div":
        return work.divide(values[0], values[1])
    if op == "pow":
        return power(work, values[0], values[1])
    return _function(op, values, work, log_base)


def _function(op: str, values: list[Exact], work: Arithmetic, log_base: str) -> Exact:
    if op == "sqrt":
        return power(work, values[0], rational(Fraction(1, 2)))
    if op == "root":
        return power(work, values[1], work.divide(rational(1), values[0]))
    if op == "degree":
        return work.multiply(values[0], Exact({(("c:pi", Fraction(1)),): Fraction(1, 180)}))
    if op == "exp":
        return power(work, generator("c:e"), values[0])
    if op == "ln":
        return logarithm(work, values[0])
    if op in ("log", "lg"):
        if len(values) == 2:
            return work.divide(logarithm(work, values[1]), logarithm(work, values[0]))
        natural = logarithm(work, values[0])
        return natural if log_base == "e" else work.divide(natural, logarithm(work, rational(int(log_base))))
    if op in ANGLE_FUNCTIONS or op in INVERSE_FUNCTIONS:
        return trigonometric(work, op, values[0])
    if op in ("sinh", "cosh", "tanh"):
        up = power(work, generator("c:e"), values[0])
        down = work.divide(rational(1), up)
        sine = work.add(up, work.negate(down))
        cosine = work.add(up, down)
        half = rational(Fraction(1, 2))
        return work.divide(sine, cosine) if op == "tanh" else work.multiply(half, sine if op == "sinh" else cosine)
    if op == "abs":
        modulus = _modulus(values[0], work)
        if modulus is not None:
            return modulus
    if op == "binom":
        lower = values[1].rational()
        if not is_rational(values[0]) and lower is not None and lower.denominator == 1 and 0 <= lower <= MAX_LOWER:
            return _falling(values[0], int(lower), work)
    return _of_numbers(op, values)


def _falling(upper: Exact, lower: int, work: Arithmetic) -> Exact:
    """Evaluate n over k as the polynomial n (n − 1) … / k!."""
    result = rational(1)
    for step in range(lower):
        factor = work.add(upper, rational(-step))
        result = work.multiply(result, work.multiply(factor, rational(Fraction(1, step + 1))))
    return result


_I = ("c:i", Fraction(1))


def _modulus(value: Exact, work: Arithmetic) -> Exact | None:
    """√(a² + b²) of a number a + bi with real a and b; None for anything else."""
    if value.den is not ONE or not any(_I in monomial for monomial in value.num):
        return None
    if any(name[0] not in "p" and name not in ("c:pi", "c:e", "c:i") for m in value.num for name, _ in m):
        return None
    real = Exact({m: c for m, c in value.num.items() if _I not in m})
    imaginary = Exact({tuple(g for g in m if g != _I): c for m, c in value.num.items() if _I in m})
    squares = work.add(work.multiply(real, real), work.multiply(imaginary, imaginary))
    return power(work, squares, rational(Fraction(1, 2)))


def _of_numbers(op: str, values: list[Exact]) -> Exact:
    """Functions that are resolved for rational numbers only."""
    numbers = [value.rational() for value in values]
    first = numbers[0]
    if op == "abs" and first is not None:
        return rational(abs(first))
    if op in ("floor", "ceil") and first is not None:
        whole = first.numerator // first.denominator
        return rational(whole if op == "floor" or first == whole else whole + 1)
    if op == "factorial" and first is not None:
        if first.denominator != 1 or not 0 <= first <= MAX_FACTORIAL:
            raise Undecided
        return rational(factorial(int(first)))
    if op == "binom" and first is not None and numbers[1] is not None:
        upper, lower = first, numbers[1]
        if upper.denominator != 1 or lower.denominator != 1 or not 0 <= upper <= 1000:
            raise Undecided
        return rational(comb(int(upper), int(lower)) if lower >= 0 else 0)
    if any(value.den is not ONE for value in values):
        raise Undecided
    if op == "abs":
        return absolute(values[0])
    return generator(f"f:{op}({';'.join(key(value.num) for value in values)})")
