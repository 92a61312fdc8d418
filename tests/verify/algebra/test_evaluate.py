from fractions import Fraction

import pytest

from mimovl.verify.algebra import equal, normalise, parse_expression, rational_value
from mimovl.verify.algebra.evaluate import evaluate
from mimovl.verify.algebra.exact import Arithmetic, Undecided


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5!", Fraction(120)),
        (r"\binom{10}{3}", Fraction(120)),
        (r"\binom{3}{5}", Fraction(0)),
        ("|-3|", Fraction(3)),
        (r"\lfloor -2.5\rfloor", Fraction(-3)),
        (r"\lceil 2.1\rceil", Fraction(3)),
        ("|3+4i|", Fraction(5)),
        (r"\frac{2005\cdot 2006}{2006!}\cdot 2004!", Fraction(1)),
        (r"\log 1000", Fraction(3)),
        ("50%", Fraction(1, 2)),
    ],
)
def test_a_number_has_its_exact_value(text: str, value: Fraction) -> None:
    assert rational_value(parse_expression(normalise(text))) == value


@pytest.mark.parametrize("text", [r"\sqrt{2}", "x", "1/0", "10^{10^{10}}", "99999!", r"\binom{99999}{3}", r"\infty"])
def test_other_expressions_have_no_rational_value(text: str) -> None:
    assert rational_value(parse_expression(normalise(text))) is None


def test_a_binomial_of_a_symbol_is_its_polynomial() -> None:
    assert equal(r"\binom{n}{3}", r"\frac{n(n-1)(n-2)}{6}") is True


def test_hyperbolic_functions_are_exponentials() -> None:
    assert equal(r"\cosh^2 x-\sinh^2 x", "1") is True
    assert equal(r"\tanh x", r"\frac{e^{2x}-1}{e^{2x}+1}") is True


def test_the_base_of_log_is_told() -> None:
    node = parse_expression(normalise(r"\log 100"))
    assert evaluate(node, Arithmetic()).rational() == 2
    assert evaluate(node, Arithmetic(), log_base="e").rational() is None


def test_infinity_is_no_number() -> None:
    with pytest.raises(Undecided):
        evaluate(parse_expression(normalise(r"\infty")), Arithmetic())
