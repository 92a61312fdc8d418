import cmath
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimovl.verify.algebra import normalise, parse_expression
from mimovl.verify.algebra.ball import Ball, NoValue, apart, ball

mpmath = pytest.importorskip("mpmath")


def value(text: str, **names: float) -> Ball:
    return ball(parse_expression(normalise(text)), names)


numbers = st.floats(-20, 20).map(lambda value: round(value, 3))
OPERATIONS = [
    ("({})+({})", lambda a, b: a + b),
    ("({})*({})", lambda a, b: a * b),
    ("({})-({})", lambda a, b: a - b),
    (r"\sin({})+\cos({})", lambda a, b: mpmath.sin(a) + mpmath.cos(b)),
    (r"e^{{({})/10}}+({})", lambda a, b: mpmath.exp(a / 10) + b),
    (r"\sqrt{{({})^2+1}}\cdot({})", lambda a, b: mpmath.sqrt(a * a + 1) * b),
    (r"\ln(({})^2+2)/(({})^2+1)", lambda a, b: mpmath.log(a * a + 2) / (b * b + 1)),
    (r"\arctan({})+\sqrt[3]{{({})}}", lambda a, b: mpmath.atan(a) + mpmath.sign(b) * mpmath.cbrt(abs(b))),
]


@given(numbers, numbers, st.sampled_from(OPERATIONS))
def test_the_ball_holds_the_value_of_fifty_digits(a: float, b: float, operation: tuple) -> None:  # type: ignore[type-arg]
    pattern, reference = operation
    try:
        ours = value(pattern.format(repr(a), repr(b)))
    except NoValue:
        return
    with mpmath.workdps(50):
        exact = reference(mpmath.mpf(repr(a)), mpmath.mpf(repr(b)))
        distance = abs(mpmath.mpc(ours.centre) - exact)
    assert distance <= ours.radius
    assert ours.radius <= 1e-10 * max(1.0, abs(ours.centre))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\sqrt[3]{-8}", -2),
        ("(-8)^{1/3}", -2),
        (r"\sqrt{-4}", 2j),
        ("i^2", -1),
        ("e^{i\\pi}", -1),
        ("5!", 120),
        (r"\binom{5}{2}", 10),
        (r"\lfloor 2.5\rfloor", 2),
        ("60°", math.pi / 3),
        (r"\cosh 1", math.cosh(1)),
        (r"\tanh 1", math.tanh(1)),
        (r"\log_2 8", 3),
        ("|3+4i|", 5),
        (r"\arcsin 0.5", math.pi / 6),
    ],
)
def test_functions_have_their_values(text: str, expected: complex) -> None:
    ours = value(text)
    assert abs(ours.centre - expected) <= ours.radius + 1e-15
    assert cmath.isclose(ours.centre, expected, rel_tol=1e-12, abs_tol=1e-12)


@pytest.mark.parametrize("text", ["1/0", "x", r"\ln(0)", "10^{10^{10}}", r"\tan 90°", "2.5!", r"\infty", r"\ln(-1)"])
def test_what_has_no_value_or_no_bound_says_so(text: str) -> None:
    with pytest.raises(NoValue):
        value(text)


def test_only_balls_that_do_not_meet_are_apart() -> None:
    assert apart(Ball(1 + 0j, 0.1), Ball(2 + 0j, 0.1))
    assert not apart(Ball(1 + 0j, 0.6), Ball(2 + 0j, 0.6))
    assert not apart(value(r"\sqrt{2}\cdot\sqrt{2}"), value("2"))
