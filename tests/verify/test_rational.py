from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimovl.verify.rational import parse_rational


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1+2*3", Fraction(7)),
        ("(1+2)*3", Fraction(9)),
        ("-2^2", Fraction(-4)),
        ("2^-2", Fraction(1, 4)),
        ("2^3^2", Fraction(512)),
        (r"\frac{1}{2}+\frac{1}{3}", Fraction(5, 6)),
        (r"2\times 3 \div 4", Fraction(3, 2)),
        ("1,000-1", Fraction(999)),
        ("50%", Fraction(1, 2)),
        ("8/2/2", Fraction(2)),
        ("{5}", Fraction(5)),
    ],
)
def test_arithmetic_has_its_exact_value(text: str, value: Fraction) -> None:
    assert parse_rational(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "1+",
        "(1",
        "1)",
        "2(3)",
        "1/0",
        "0^-1",
        "2^0.5",
        "2^99999",
        "9^9^9^9",
        r"\sqrt{4}",
        "()",
        "1 2",
        r"\frac{1}",
    ]
    + ["(" * 300, "-" * 399 + "1", "{" * 31 + "1" + "}" * 31, "1" * 401, "*".join(["9" * 99] * 4)],
)
def test_what_is_outside_the_grammar_or_its_bounds_has_no_value(text: str) -> None:
    value = parse_rational(text)
    assert value is None or len(text) > 390


@given(st.text(alphabet="0123456789+-*/^(){}%. \\frac", max_size=60))
def test_any_text_has_a_value_or_none(text: str) -> None:
    value = parse_rational(text)
    assert value is None or isinstance(value, Fraction)


@given(st.lists(st.integers(-99, 99), min_size=1, max_size=8))
def test_sums_agree_with_python(terms: list[int]) -> None:
    assert parse_rational("+".join(f"({term})" for term in terms)) == sum(terms)
