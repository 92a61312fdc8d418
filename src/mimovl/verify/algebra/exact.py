"""Exact arithmetic on quotients of sums of monomials over the rational numbers.

A monomial is a product of generators with rational exponents; a generator is a short string:

    v:x          a variable                      p:2          a prime under a root, exponent in (0, 1)
    c:pi  c:e    constants, free                 c:i          the imaginary unit, i² = −1
    b:KEY        a sum under a root              f:sin(KEY)   a function that is not resolved further; cos² is 1 − sin²
    x:BASE|KEY   BASE to a power that is no rational number

Monomials in roots of distinct primes are linearly independent over the rationals (Besicovitch 1940), so over variables,
roots, i and one of π and e a difference that is not the zero sum is not zero. With other generators zero proves
equality and non-zero proves nothing. All work is counted against a budget, so no text takes long.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

__all__ = ["ONE", "Arithmetic", "Exact", "Monomial", "Sum", "Undecided", "is_rational", "key", "primes"]

Monomial = tuple[tuple[str, Fraction], ...]
Sum = dict[Monomial, Fraction]

MAX_BITS = 40_000
MAX_TERMS = 400
MAX_POWER = 200
BUDGET = 60_000
MAX_FACTOR = 10**9
"""The largest integer whose prime factors are looked for."""

ONE: Sum = {(): Fraction(1)}


class Undecided(Exception):
    """Outside what this arithmetic resolves, or beyond its budget."""


class Exact:
    """A quotient of two sums. ``den`` is ONE (the same object) wherever it could be divided out."""

    __slots__ = ("den", "num")

    def __init__(self, num: Sum, den: Sum = ONE) -> None:
        self.num = num
        self.den = den

    def rational(self) -> Fraction | None:
        """The value if it is a rational number."""
        if self.den is not ONE or len(self.num) > 1:
            return None
        if not self.num:
            return Fraction(0)
        return self.num.get(())


def is_rational(value: Exact) -> bool:
    """Whether the value is a rational number."""
    return value.rational() is not None


def rational(value: Fraction | int) -> Exact:
    """A rational number."""
    return Exact({(): Fraction(value)} if value else {})


def generator(name: str) -> Exact:
    """One generator."""
    return Exact({((name, Fraction(1)),): Fraction(1)})


def key(terms: Sum) -> str:
    """Name a sum; equal sums have equal names."""
    return "+".join(f"{terms[m]}*{'*'.join(f'{g}^{e}' for g, e in m)}" for m in sorted(terms))


def primes(value: int) -> dict[int, int]:
    """Prime factors with their exponents.

    Raises:
        Undecided: the number is too large to be factored in no time.
    """
    found: dict[int, int] = {}
    for prime in _SMALL_PRIMES:
        while value % prime == 0:
            found[prime] = found.get(prime, 0) + 1
            value //= prime
    if value > MAX_FACTOR:
        raise Undecided
    divisor = _SMALL_PRIMES[-1] + 2
    while divisor * divisor <= value:
        while value % divisor == 0:
            found[divisor] = found.get(divisor, 0) + 1
            value //= divisor
        divisor += 2
    if value > 1:
        found[value] = found.get(value, 0) + 1
    return found


_SMALL_PRIMES = [n for n in range(2, 200) if all(n % d for d in range(2, int(n**0.5) + 1))]


class Arithmetic:
    """Operations with one budget for a whole comparison, and the sums that stand under roots in it."""

    def __init__(self) -> None:
        self.left = BUDGET
        self.bases: dict[str, Sum] = {}

    def spend(self, amount: int) -> None:
        """Count work.

        Raises:
            Undecided: there was too much of it.
        """
        self.left -= amount
        if self.left < 0:
            raise Undecided

    # ------------------------------------------------------------ sums

    def add_sums(self, first: Sum, second: Sum, factor: int = 1) -> Sum:
        """``first + factor · second``."""
        total = dict(first)
        self.spend(len(second) + 1)
        for monomial, coefficient in second.items():
            value = total.get(monomial, 0) + factor * coefficient
            if value:
                total[monomial] = Fraction(value)
            else:
                total.pop(monomial, None)
        return total

    def multiply_sums(self, first: Sum, second: Sum) -> Sum:
        """The product, with every generator reduced."""
        if first is ONE:
            return second
        if second is ONE:
            return first
        self.spend(2 * len(first) * len(second))
        total: Sum = {}
        later: list[Sum] = []
        for one, coefficient in first.items():
            for two, other in second.items():
                value = coefficient * other
                if value.numerator.bit_length() + value.denominator.bit_length() > MAX_BITS:
                    raise Undecided
                monomial, scale, extra = self._join(one, two)
                value *= scale
                if extra is not None:
                    later.append(self.multiply_sums({monomial: value}, extra))
                    continue
                value += total.get(monomial, 0)
                if value:
                    total[monomial] = value
                else:
                    total.pop(monomial, None)
        for part in later:
            total = self.add_sums(total, part)
        if len(total) > MAX_TERMS:
            raise Undecided
        return total

    def _join(self, one: Monomial, two: Monomial) -> tuple[Monomial, Fraction | int, Sum | None]:
        """The product of two monomials: reduced, with the factor and the sum that the reduction leaves."""
        if not one or not two:
            return one or two, 1, None
        exponents = dict(one)
        scale: Fraction | int = 1
        extra: Sum | None = None
        for name, exponent in two:
            exponent += exponents.pop(name, 0)
            kind = name[0]
            if kind == "p" and not 0 <= exponent < 1:
                whole = exponent.numerator // exponent.denominator
                exponent -= whole
                scale *= Fraction(int(name[2:])) ** whole
            elif name == "c:i":
                if exponent.denominator != 1:
                    raise Undecided
                turns = int(exponent) % 4
                scale *= -1 if turns >= 2 else 1
                exponent = Fraction(turns % 2)
            elif kind == "b" and exponent >= 1:
                extra = self.multiply_sums(extra or ONE, self.bases[name])
                exponent -= 1
            elif kind == "f" and name.startswith("f:cos(") and exponent >= 2:
                sine = "f:sin(" + name[6:]
                square: Sum = {(): Fraction(1), ((sine, Fraction(2)),): Fraction(-1)}
                extra = self.multiply_sums(extra or ONE, square)
                exponent -= 2
            elif name.startswith("x:-1|") and exponent.denominator == 1:
                exponent %= 2  # (-1)^(2n) is 1 for the whole numbers n that such powers are written for
            if exponent:
                exponents[name] = exponent
        return tuple(sorted(exponents.items())), scale, extra

    # ------------------------------------------------------------ quotients

    def quotient(self, num: Sum, den: Sum) -> Exact:
        """A quotient, divided out when the denominator is one monomial.

        Raises:
            ZeroDivisionError: the denominator is the zero sum.
        """
        if not den:
            raise ZeroDivisionError
        if den is ONE or not num:
            return Exact(num)
        if len(den) == 1:
            [(monomial, coefficient)] = den.items()
            inverse = self._invert(monomial)
            if inverse is not None:
                return Exact(self.multiply_sums(num, {m: c / coefficient for m, c in inverse.items()}))
        if len(num) == len(den) > 1:
            shared = next(iter(den))
            if shared in num and all(m in num and num[m] * den[shared] == den[m] * num[shared] for m in den):
                return Exact({(): num[shared] / den[shared]})
        return Exact(num, den)

    def _invert(self, monomial: Monomial) -> Sum | None:
        parts: Monomial = ()
        scale = Fraction(1)
        for name, exponent in monomial:
            if name[0] == "b" or name.startswith("f:cos("):
                return None
            part: Monomial = ((name, -exponent),)
            if name[0] == "p":
                part, scale = ((name, 1 - exponent),), scale / int(name[2:])
            elif name == "c:i":
                part, scale = ((name, exponent),), -scale  # 1/i = −i
            parts = (*parts, *part)
        return {tuple(sorted(parts)): scale}

    def add(self, first: Exact, second: Exact) -> Exact:
        """The sum of two values."""
        if first.den is second.den or first.den == second.den:
            return self.quotient(self.add_sums(first.num, second.num), first.den)
        num = self.add_sums(self.multiply_sums(first.num, second.den), self.multiply_sums(second.num, first.den))
        return self.quotient(num, self.multiply_sums(first.den, second.den))

    def multiply(self, first: Exact, second: Exact) -> Exact:
        """The product of two values."""
        return self.quotient(self.multiply_sums(first.num, second.num), self.multiply_sums(first.den, second.den))

    def divide(self, first: Exact, second: Exact) -> Exact:
        """The quotient of two values."""
        return self.quotient(self.multiply_sums(first.num, second.den), self.multiply_sums(first.den, second.num))

    def negate(self, value: Exact) -> Exact:
        """The value with the other sign."""
        return Exact({monomial: -coefficient for monomial, coefficient in value.num.items()}, value.den)

    def total(self, values: Iterable[Exact]) -> Exact:
        """The sum of many values."""
        result = Exact({})
        for value in values:
            result = self.add(result, value)
        return result

    def integer_power(self, base: Exact, exponent: int) -> Exact:
        """A whole power, by repeated squaring within the budget."""
        if exponent < 0:
            return self.divide(rational(1), self.integer_power(base, -exponent))
        value = base.rational()
        if value is not None:
            bits = max(value.numerator.bit_length(), value.denominator.bit_length())
            if abs(value) != 1 and bits * exponent > MAX_BITS:
                raise Undecided
            return rational(value ** (exponent if abs(value) != 1 else exponent % 2))
        if len(base.num) > 1 or base.den is not ONE:
            if exponent > MAX_POWER:
                raise Undecided
        elif exponent > 10_000:
            raise Undecided
        result, square = rational(1), base
        while exponent:
            if exponent & 1:
                result = self.multiply(result, square)
            exponent >>= 1
            if exponent:
                square = self.multiply(square, square)
        return result

    def is_zero_difference(self, first: Exact, second: Exact) -> tuple[bool, Sum]:
        """Whether two values are the same quotient, and the cross product that says so."""
        cross = self.add_sums(self.multiply_sums(first.num, second.den), self.multiply_sums(second.num, first.den), -1)
        return not cross, cross


def independent(terms: Sum) -> bool:
    """Whether a sum that is not the zero sum is known not to be zero."""
    if len(terms) == 1 and all(name[0] in "vpxc" for monomial in terms for name, _ in monomial):
        return True  # a product of what is not zero
    transcendental: set[str] = set()
    for monomial in terms:
        for name, _ in monomial:
            if name[0] in "vp" or name == "c:i":
                continue
            if name not in ("c:pi", "c:e"):
                return False
            transcendental.add(name)
    return len(transcendental) < 2
