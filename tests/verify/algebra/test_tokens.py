from fractions import Fraction

import pytest

from mimovl.verify.algebra.nodes import NotAnExpression
from mimovl.verify.algebra.tokens import MAX_DIGITS, normalise, tokens


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (r"\dfrac{1}{2}", r"\frac{1}{2}"),
        (r"\left(x\right)", "(x)"),
        (r"x\,\times\,y", "x * y"),
        ("x²", "x^{2}"),
        ("10⁻³", "10^{-3}"),
        ("x₁", "x_{1}"),
        ("2√3", r"2\sqrt 3"),
        ("x≤3", r"x\le 3"),
        ("x>=3", r"x\ge 3"),
        (r"30^\circ", "30°"),
        (r"30^{\circ}", "30°"),
        (r"50\%", "50%"),
        ("１２＋３", "12+3"),
        ("−5", "-5"),
        ("x**2", "x^2"),
        (r"1{,}234", "1,234"),
        (r"\operatorname{sin} x", r"\sin x"),
        (r"25 per cent", "25 percent"),
    ],
)
def test_ways_of_writing_the_same_become_one(text: str, same: str) -> None:
    assert "".join(normalise(text).split()) == "".join(same.split())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234.5", Fraction(2469, 2)),
        ("12 345", Fraction(12345)),
        (r"0.\overline{3}", Fraction(1, 3)),
        (r"0.1\overline{6}", Fraction(1, 6)),
        (r"1.\overline{09}", Fraction(12, 11)),
        ("1.5e-3", Fraction(3, 2000)),
        (".5", Fraction(1, 2)),
    ],
)
def test_a_number_token_has_its_exact_value(text: str, value: Fraction) -> None:
    [token] = tokens(text)
    assert token.kind == "number" and token.value == value


def test_a_comma_separates_where_it_does_not_group() -> None:
    assert [token.text for token in tokens("1,234", grouped=False)] == ["1", ",", "234"]
    assert [token.text for token in tokens("1,23")] == ["1", ",", "23"]


def test_letters_are_variables_and_known_words_are_not() -> None:
    assert [token.text for token in tokens("xyz")] == ["x", "y", "z"]
    assert [token.text for token in tokens("sin pi inf")] == ["sin", "pi", "inf"]
    assert [token.text for token in tokens("2pir")] == ["2", "pi", "r"]


@pytest.mark.parametrize(
    "text", ["hello", "live", "I do not know", "x ? y", "x" * 500, "9" * (MAX_DIGITS + 1), "1e9999"]
)
def test_language_and_absurd_lengths_are_no_expression(text: str) -> None:
    with pytest.raises(NotAnExpression):
        tokens(text)
