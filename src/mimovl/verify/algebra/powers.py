"""Roots, powers with any exponent, and logarithms in the exact arithmetic.

Conventions are those of school: the odd root of a negative number is real, √(ab) = √a √b and ln(ab) = ln a + ln b for
symbols (taken as positive), but √(x²) is |x|.
"""

from __future__ import annotations

from fractions import Fraction
from math import gcd, isqrt

from mimovl.verify.algebra.exact import (
    ONE,
    Arithmetic,
    Exact,
    Monomial,
    Sum,
    Undecided,
    generator,
    key,
    primes,
    rational,
)

__all__ = ["absolute", "logarithm", "power", "rational_power"]

_HALF = Fraction(1, 2)


def power(work: Arithmetic, base: Exact, exponent: Exact) -> Exact:
    """``base`` to the ``exponent``.

    Raises:
        Undecided: it is not resolved here.
        ZeroDivisionError: zero to a negative power.
    """
    value = exponent.rational()
    if value is not None:
        if value.denominator == 1:
            return work.integer_power(base, int(value))
        return _root(work, base, value)
    return _symbolic(work, base, exponent)


def _root(work: Arithmetic, base: Exact, exponent: Fraction) -> Exact:
    if not base.num:
        if exponent < 0:
            raise ZeroDivisionError
        return base
    if exponent < 0:
        return work.divide(rational(1), _root(work, base, -exponent))
    result = _root_of_sum(work, base.num, exponent)
    return result if base.den is ONE else work.divide(result, _root_of_sum(work, base.den, exponent))


def _root_of_sum(work: Arithmetic, terms: Sum, exponent: Fraction) -> Exact:
    if len(terms) == 1:
        [(monomial, coefficient)] = terms.items()
        return _root_of_term(work, monomial, coefficient, exponent)
    content, rest = _content(terms)
    factor = _root_of_term(work, (), content, exponent)
    if exponent == _HALF:
        denested = _denest(work, rest)
        if denested is not None:
            return work.multiply(factor, denested)
    name = "b:" + key(rest)
    work.bases[name] = rest
    whole = exponent.numerator // exponent.denominator
    root = Exact({((name, exponent - whole),): Fraction(1)})
    return work.multiply(factor, work.multiply(root, work.integer_power(Exact(rest), whole)))


def _content(terms: Sum) -> tuple[Fraction, Sum]:
    """Take the positive rational content out of a sum: 12x + 8 is 4 · (3x + 2)."""
    numerator = denominator = 0
    for coefficient in terms.values():
        numerator = gcd(numerator, coefficient.numerator)
        denominator = (
            denominator * coefficient.denominator // gcd(denominator, coefficient.denominator)
            if denominator
            else coefficient.denominator
        )
    content = Fraction(numerator, denominator)
    return content, {monomial: coefficient / content for monomial, coefficient in terms.items()}


def _root_of_term(work: Arithmetic, monomial: Monomial, coefficient: Fraction, exponent: Fraction) -> Exact:
    result = rational_power(work, coefficient, exponent)
    for name, inner in monomial:
        outer = inner * exponent
        if name[0] == "v":
            if inner.denominator == 1 and inner % 2 == 0 and exponent.denominator % 2 == 0 and outer % 2 != 0:
                result = work.multiply(result, work.integer_power(absolute(generator(name)), int(outer)))
                continue  # √(x²) is |x|
        elif name[0] not in "px" and name not in ("c:pi", "c:e"):
            if name[0] != "b" or exponent.denominator % 2 == 0 and inner.denominator == 1:
                raise Undecided
        elif name.startswith("x:-1|"):
            raise Undecided
        result = work.multiply(result, _generator_power(work, name, outer))
    return result


def absolute(value: Exact) -> Exact:
    """|value| as a generator, the same for a value and its negative."""
    terms = value.num
    if terms and terms[min(terms)] < 0:
        terms = {monomial: -coefficient for monomial, coefficient in terms.items()}
    return generator(f"f:abs({key(terms)})")


def _generator_power(work: Arithmetic, name: str, exponent: Fraction) -> Exact:
    whole = exponent.numerator // exponent.denominator
    if name[0] == "p":
        part = Exact({((name, exponent - whole),): Fraction(1)}) if exponent != whole else rational(1)
        return work.multiply(part, work.integer_power(rational(int(name[2:])), whole))
    if name[0] == "b":
        part = Exact({((name, exponent - whole),): Fraction(1)}) if exponent != whole else rational(1)
        return work.multiply(part, work.integer_power(Exact(work.bases[name]), whole))
    return Exact({((name, exponent),): Fraction(1)})


def rational_power(work: Arithmetic, value: Fraction, exponent: Fraction) -> Exact:
    """A rational number to a rational power: −8 to 1/3 is −2, 12 to 1/2 is 2√3, −4 to 1/2 is 2i."""
    sign = rational(1)
    if value < 0:
        if exponent.denominator % 2:
            sign = rational(-1 if exponent.numerator % 2 else 1)
        elif exponent.denominator == 2:
            sign = work.integer_power(generator("c:i"), int(exponent * 2))
        else:
            raise Undecided
    result = sign
    for number, way in ((abs(value.numerator), 1), (value.denominator, -1)):
        for prime, times in primes(number).items():
            result = work.multiply(result, _generator_power(work, f"p:{prime}", way * times * exponent))
    return result


def _denest(work: Arithmetic, terms: Sum) -> Exact | None:
    """√(a + b√r) as a sum of two roots where there is one: √(3 + 2√2) = 1 + √2."""
    if len(terms) != 2 or () not in terms or terms[()] <= 0:
        return None
    a = terms[()]
    [(monomial, b)] = [(m, c) for m, c in terms.items() if m]
    if any(name[0] != "p" or exponent != _HALF for name, exponent in monomial):
        return None
    radicand = b * b
    for name, _ in monomial:
        radicand *= int(name[2:])
    inner = _rational_sqrt(a * a - radicand)
    if inner is None:
        return None
    first = rational_power(work, (a + inner) / 2, _HALF)
    second = rational_power(work, (a - inner) / 2, _HALF)
    return work.add(first, second if b > 0 else work.negate(second))


def _rational_sqrt(value: Fraction) -> Fraction | None:
    if value < 0:
        return None
    numerator, denominator = isqrt(value.numerator), isqrt(value.denominator)
    if numerator * numerator != value.numerator or denominator * denominator != value.denominator:
        return None
    return Fraction(numerator, denominator)


# ---------------------------------------------------------------- exponents with symbols


def _symbolic(work: Arithmetic, base: Exact, exponent: Exact) -> Exact:
    if exponent.den is not ONE or not base.num:
        raise Undecided
    result = rational(1)
    for monomial, coefficient in exponent.num.items():
        if not monomial:
            part = power(work, base, rational(coefficient))
        else:
            part = rational(1)
            for name, times in _base_factors(work, base):
                part = work.multiply(part, _one_symbolic(work, name, times * coefficient, monomial))
        result = work.multiply(result, part)
    return result


def _base_factors(work: Arithmetic, base: Exact) -> list[tuple[str, Fraction]]:
    """The base as a product of generators to which a symbolic power can be given."""
    if base.den is not ONE:
        above = _base_factors(work, Exact(base.num))
        below = _base_factors(work, Exact(base.den))
        return [*above, *((name, -times) for name, times in below)]
    if len(base.num) > 1:
        content, rest = _content(base.num)
        name = "b:" + key(rest)
        work.bases[name] = rest
        return [*_rational_factors(content), (name, Fraction(1))]
    [(monomial, coefficient)] = base.num.items()
    if any(name[0] not in "vp" and name not in ("c:pi", "c:e") for name, _ in monomial):
        raise Undecided
    return [*_rational_factors(coefficient), *monomial]


def _rational_factors(value: Fraction) -> list[tuple[str, Fraction]]:
    factors = [("-1", Fraction(1))] if value < 0 else []
    for number, way in ((abs(value.numerator), 1), (value.denominator, -1)):
        factors.extend((f"p:{prime}", Fraction(way * times)) for prime, times in primes(number).items())
    return factors


def _one_symbolic(work: Arithmetic, name: str, coefficient: Fraction, monomial: Monomial) -> Exact:
    if name == "c:e":
        if monomial == (("c:i", Fraction(1)), ("c:pi", Fraction(1))):
            return _unit_circle(work, coefficient)
        if len(monomial) == 1 and monomial[0][1] == 1 and monomial[0][0].startswith("f:ln("):
            inner = monomial[0][0][5:-1]  # e^(k ln 2) is 2^k, and of a variable as well
            if inner.startswith("p:"):
                return rational_power(work, Fraction(int(inner[2:])), coefficient)
            if inner.startswith("v:"):
                return Exact({((inner, coefficient),): Fraction(1)})
    return Exact({((f"x:{name}|{key({monomial: Fraction(1)})}", coefficient),): Fraction(1)})


def _unit_circle(work: Arithmetic, turns: Fraction) -> Exact:
    from mimovl.verify.algebra.trigonometry import cosine_of_turn, sine_of_turn

    return work.add(cosine_of_turn(work, turns), work.multiply(generator("c:i"), sine_of_turn(work, turns)))


# ---------------------------------------------------------------- logarithms


def logarithm(work: Arithmetic, value: Exact) -> Exact:
    """The natural logarithm, split over products, quotients and powers.

    Raises:
        Undecided: of zero or of a negative number.
    """
    result = _logarithm_of_sum(work, value.num)
    return result if value.den is ONE else work.add(result, work.negate(_logarithm_of_sum(work, value.den)))


def _logarithm_of_sum(work: Arithmetic, terms: Sum) -> Exact:
    if not terms:
        raise Undecided
    if len(terms) > 1:
        content, rest = _content(terms)
        return work.add(_logarithm_of_rational(work, content), generator(f"f:ln({key(rest)})"))
    [(monomial, coefficient)] = terms.items()
    result = _logarithm_of_rational(work, coefficient)
    for name, exponent in monomial:
        if name == "c:e":
            part = rational(exponent)
        elif name.startswith("x:c:e|"):
            raise Undecided
        elif name[0] in "pvb" or name == "c:pi":
            inner = name if name[0] != "b" else key(work.bases[name])
            part = work.multiply(rational(exponent), generator(f"f:ln({inner})"))
        else:
            raise Undecided
        result = work.add(result, part)
    return result


def _logarithm_of_rational(work: Arithmetic, value: Fraction) -> Exact:
    if value <= 0:
        raise Undecided
    result = rational(0)
    for number, way in ((value.numerator, 1), (value.denominator, -1)):
        for prime, times in primes(number).items():
            result = work.add(result, work.multiply(rational(way * times), generator(f"f:ln(p:{prime})")))
    return result
