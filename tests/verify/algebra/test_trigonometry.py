import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimovl.verify.algebra import equal
from mimovl.verify.algebra.exact import Arithmetic
from mimovl.verify.algebra.trigonometry import cosine_of_turn, sine_of_turn

ROOTS = {"p:2": 2.0, "p:3": 3.0, "p:5": 5.0}


@pytest.mark.parametrize("degrees", range(-720, 721, 3))
def test_values_in_the_table_are_those_of_the_unit_circle(degrees: int) -> None:
    turn = Fraction(degrees, 180)
    for ours, theirs in ((cosine_of_turn, math.cos), (sine_of_turn, math.sin)):
        value = 0.0
        for monomial, coefficient in ours(Arithmetic(), turn).num.items():
            if any(name.startswith("f:COS") for name, _ in monomial):
                return  # no square roots there: it stays a name
            value += float(coefficient) * math.prod(ROOTS[name] ** float(exponent) for name, exponent in monomial)
        assert value == pytest.approx(theirs(math.radians(degrees)), abs=1e-12)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (r"\sin 2x", r"2\sin x\cos x"),
        (r"\cos 2x", r"1-2\sin^2 x"),
        (r"\sin(a+b)", r"\sin a\cos b+\cos a\sin b"),
        (r"\tan^2 x+1", r"\sec^2 x"),
        (r"\cos(x-\frac{\pi}{2})", r"\sin x"),
        (r"\sin 3x", r"3\sin x-4\sin^3 x"),
        (r"\cos^4 x-\sin^4 x", r"\cos 2x"),
        (r"\sin(\pi-x)", r"\sin x"),
        (r"\sin(-x)", r"-\sin x"),
        (r"\arctan\sqrt{3}", r"\frac{\pi}{3}"),
        (r"\arcsin(-\frac{1}{2})", r"-\frac{\pi}{6}"),
        (r"\arccos(-\frac{1}{2})", r"120°"),
        (r"\cos 36°", r"\frac{1+\sqrt{5}}{4}"),
        (r"\tan 15°", r"2-\sqrt{3}"),
    ],
)
def test_identities_are_proved(first: str, second: str) -> None:
    assert equal(first, second) is True


@given(st.integers(1, 6), st.integers(1, 6), st.sampled_from(["sin", "cos"]))
def test_multiple_angles_have_the_values_of_their_expansions(n: int, m: int, name: str) -> None:
    other = "cos" if name == "sin" else "sin"
    sign = "+" if name == "sin" else "-"
    first = rf"\{name}({n + m}x)"
    second = rf"\{name}({n}x)\cos({m}x){sign}\{other}({n}x)\sin({m}x)"
    assert equal(first, second) is True
    assert equal(first, second + "+x") is False


def test_a_pole_has_no_value() -> None:
    assert equal(r"\tan 90°", "1") is False
