from fractions import Fraction

import pytest

from mimovl.verify.algebra import equal
from mimovl.verify.algebra.exact import Arithmetic, Undecided, rational
from mimovl.verify.algebra.powers import logarithm, rational_power


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (r"\sqrt{12}", r"2\sqrt{3}"),
        (r"\sqrt[3]{-8}", "-2"),
        (r"\sqrt{-4}", "2i"),
        ("8^{2/3}", "4"),
        (r"\sqrt{3+2\sqrt{2}}", r"1+\sqrt{2}"),
        (r"\sqrt{4-2\sqrt{3}}", r"\sqrt{3}-1"),
        (r"\sqrt{8x}", r"2\sqrt{2x}"),
        (r"\sqrt{x^2}", "|x|"),
        (r"\sqrt{x^4}", "x^2"),
        (r"\frac{1}{\sqrt{x+1}}", r"\frac{\sqrt{x+1}}{x+1}"),
        (r"\sqrt{12x+12}", r"2\sqrt{3x+3}"),
        (r"(\sqrt{x+1})^3", r"(x+1)\sqrt{x+1}"),
        ("2^{n+1}", r"2\cdot 2^n"),
        ("4^n", "2^{2n}"),
        ("6^n", r"2^n\cdot 3^n"),
        (r"(\frac{2}{3})^n", r"\frac{2^n}{3^n}"),
        ("(-1)^{n+2}", "(-1)^n"),
        ("x^{a+b}", "x^a x^b"),
        ("(x+1)^{n+1}", "(x+1)(x+1)^n"),
        ("e^{2x}", "(e^x)^2"),
        ("e^{i\\pi}", "-1"),
        (r"e^{\frac{i\pi}{3}}", r"\frac{1}{2}+\frac{\sqrt{3}}{2}i"),
        (r"e^{\ln 3}", "3"),
        (r"\ln 12", r"2\ln 2+\ln 3"),
        (r"\ln\frac{a}{b}", r"\ln a-\ln b"),
        (r"\ln(2x+2)", r"\ln 2+\ln(x+1)"),
        (r"\log_4 8", r"\frac{3}{2}"),
        (r"\ln e^5", "5"),
    ],
)
def test_powers_roots_and_logarithms_are_equal(first: str, second: str) -> None:
    assert equal(first, second) is True and equal(second, first) is True


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (r"\sqrt{2}+\sqrt{3}", r"\sqrt{5}"),
        (r"\sqrt{4-2\sqrt{3}}", r"1-\sqrt{3}"),
        ("2^{n+1}", "2^n+1"),
        ("e^{x^2}", "(e^x)^2"),
        (r"\ln 5", r"\ln 2+\ln 3"),
        ("2^{-99}", "2^{-98}"),
        (r"\sqrt{x+1}", r"\sqrt{x}+1"),
        ("(-1)^{n+1}", "(-1)^n"),
    ],
)
def test_powers_roots_and_logarithms_differ(first: str, second: str) -> None:
    assert equal(first, second) is False and equal(second, first) is False


def test_conventions_outside_of_the_reals_are_not_decided() -> None:
    with pytest.raises(Undecided):
        rational_power(Arithmetic(), Fraction(-2), Fraction(1, 4))
    with pytest.raises(Undecided):
        logarithm(Arithmetic(), rational(-1))
    with pytest.raises(Undecided):
        logarithm(Arithmetic(), rational(0))
