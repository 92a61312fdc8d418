"""Trigonometric functions in the exact arithmetic.

Of a rational multiple of π the value is looked up where it is made of square roots (every 15° and 18°); other values
are brought to the cosine of an angle in the first quadrant. Sums and whole multiples of angles are taken apart, so that
with cos² = 1 − sin² every polynomial identity is decided; tan, cot, sec and csc are quotients.
"""

from __future__ import annotations

from fractions import Fraction

from mimovl.verify.algebra.exact import ONE, Arithmetic, Exact, Sum, Undecided, generator, key, rational
from mimovl.verify.algebra.powers import rational_power

__all__ = ["ANGLE_FUNCTIONS", "INVERSE_FUNCTIONS", "cosine_of_turn", "sine_of_turn", "trigonometric"]

ANGLE_FUNCTIONS = frozenset({"sin", "cos", "tan", "cot", "sec", "csc"})
INVERSE_FUNCTIONS = frozenset({"arcsin", "arccos", "arctan"})

MAX_MULTIPLE = 12
"""sin(nx) is written in sin x and cos x up to this n."""


def _sqrt(work: Arithmetic, value: int) -> Exact:
    return rational_power(work, Fraction(value), Fraction(1, 2))


def cosine_of_turn(work: Arithmetic, turn: Fraction) -> Exact:
    """The cosine of ``turn`` · π."""
    turn %= 2
    if turn > 1:
        turn = 2 - turn
    if turn > Fraction(1, 2):
        return work.negate(cosine_of_turn(work, 1 - turn))
    table: dict[Fraction, tuple[tuple[int, int], ...]] = {  # numerators (factor, radicand) over 4
        Fraction(0): ((4, 1),),
        Fraction(1, 12): ((1, 6), (1, 2)),
        Fraction(1, 6): ((2, 3),),
        Fraction(1, 5): ((1, 1), (1, 5)),
        Fraction(1, 4): ((2, 2),),
        Fraction(1, 3): ((2, 1),),
        Fraction(2, 5): ((-1, 1), (1, 5)),
        Fraction(5, 12): ((1, 6), (-1, 2)),
        Fraction(1, 2): (),
    }
    if turn not in table:
        return generator(f"f:COS({turn})")
    parts = (work.multiply(rational(Fraction(factor, 4)), _sqrt(work, inside)) for factor, inside in table[turn])
    return work.total(parts)


def sine_of_turn(work: Arithmetic, turn: Fraction) -> Exact:
    """The sine of ``turn`` · π."""
    return cosine_of_turn(work, Fraction(1, 2) - turn)


_PI = (("c:pi", Fraction(1)),)


def _turn(value: Exact) -> Fraction | None:
    """The rational t where the value is t · π."""
    if value.den is not ONE or len(value.num) > 1:
        return None
    return value.num.get(_PI) if value.num else Fraction(0)


def trigonometric(work: Arithmetic, name: str, argument: Exact) -> Exact:
    """A function of ``ANGLE_FUNCTIONS`` or ``INVERSE_FUNCTIONS`` of an argument in radians.

    Raises:
        Undecided: the argument cannot be named, or the inverse is no rational multiple of π.
        ZeroDivisionError: a pole.
    """
    if name in INVERSE_FUNCTIONS:
        return _inverse(work, name, argument)
    sine, cosine = _sine_cosine(work, argument)
    one = rational(1)
    if name == "sin":
        return sine
    if name == "cos":
        return cosine
    if name == "tan":
        return work.divide(sine, cosine)
    if name == "cot":
        return work.divide(cosine, sine)
    return work.divide(one, cosine if name == "sec" else sine)


def _sine_cosine(work: Arithmetic, argument: Exact) -> tuple[Exact, Exact]:
    turn = _turn(argument)
    if turn is not None:
        return sine_of_turn(work, turn), cosine_of_turn(work, turn)
    if argument.den is not ONE:
        raise Undecided
    terms = argument.num
    shift = terms.get(_PI, Fraction(0))
    if shift and (2 * shift).denominator == 1:  # sin(x + kπ/2)
        rest: Sum = {m: c for m, c in terms.items() if m != _PI}
        sine, cosine = _sine_cosine(work, Exact(rest))
        for _ in range(int(2 * shift) % 4):
            sine, cosine = cosine, work.negate(sine)
        return sine, cosine
    if len(terms) > 1:  # sin(a + b)
        first = min(terms)
        one = _sine_cosine(work, Exact({first: terms[first]}))
        return _sum_of_angles(work, one, _sine_cosine(work, Exact({m: c for m, c in terms.items() if m != first})))
    [(monomial, coefficient)] = terms.items()
    if abs(coefficient.numerator) > MAX_MULTIPLE:
        raise Undecided
    name = key({monomial: Fraction(1, coefficient.denominator)})
    single = generator(f"f:sin({name})"), generator(f"f:cos({name})")
    sine, cosine = single
    for _ in range(abs(coefficient.numerator) - 1):
        sine, cosine = _sum_of_angles(work, (sine, cosine), single)
    return (work.negate(sine) if coefficient < 0 else sine), cosine


def _sum_of_angles(work: Arithmetic, first: tuple[Exact, Exact], second: tuple[Exact, Exact]) -> tuple[Exact, Exact]:
    sine = work.add(work.multiply(first[0], second[1]), work.multiply(first[1], second[0]))
    cosine = work.add(work.multiply(first[1], second[1]), work.negate(work.multiply(first[0], second[0])))
    return sine, cosine


_CANDIDATES = sorted({Fraction(n, d) for d in (1, 2, 3, 4, 5, 6, 10, 12) for n in range(0, d + 1)})


def _inverse(work: Arithmetic, name: str, value: Exact) -> Exact:
    direct = {"arcsin": "sin", "arccos": "cos", "arctan": "tan"}[name]
    for size in _CANDIDATES:
        for turn in (size, -size):
            inside = 0 <= turn <= 1 if name == "arccos" else abs(turn) <= Fraction(1, 2)
            if not inside or (name == "arctan" and abs(turn) == Fraction(1, 2)):
                continue
            found = trigonometric(work, direct, Exact({_PI: turn} if turn else {}))
            if work.is_zero_difference(found, value)[0]:
                return Exact({_PI: turn} if turn else {})
    if value.den is not ONE:
        raise Undecided
    return generator(f"f:{name}({key(value.num)})")
