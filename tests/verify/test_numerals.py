from fractions import Fraction

import pytest

from mimovl.verify.answer import Answer
from mimovl.verify.numerals import MAX_DIGITS, Quantity, clean_latex, parse_quantity, read_number


def test_tex_is_reduced_to_what_carries_the_value() -> None:
    assert clean_latex(r"$\dfrac{1}{2}\,\text{cm}$") == r"\frac{1}{2} cm"
    assert clean_latex(r"30^\circ") == "30°"


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("12 cm", Fraction(12), "cm"),
        ("12cm", Fraction(12), "cm"),
        ("30°", Fraction(30), "°"),
        ("¥20", Fraction(20), ""),
        ("3 km/h", Fraction(3), "km/h"),
        (".5", Fraction(1, 2), ""),
        ("-1 1/2", Fraction(-3, 2), ""),
        ("12 square metres", Fraction(12), "square metres"),
        ("五个", None, ""),
    ],
)
def test_a_whole_text_is_a_quantity(text: str, value: Fraction | None, unit: str) -> None:
    assert parse_quantity(text) == (None if value is None else Quantity(value, unit))


@pytest.mark.parametrize(
    "text", ["2+3", "3x", "5 or 6", "1/0", "1.2.3", "", "--3", "3 4", "e5", "²", "1e9999999", "12 x"]
)
def test_what_is_not_one_number_is_not_read(text: str) -> None:
    assert parse_quantity(text) is None


def test_digit_strings_are_read_up_to_a_length_and_never_take_time() -> None:
    assert parse_quantity("1" * MAX_DIGITS) is not None
    assert parse_quantity("1" * (MAX_DIGITS + 1)) is None
    assert parse_quantity("1" * 10**6) is None


def test_the_rule_that_read_a_number_is_told() -> None:
    def rule(text: str, *, boxed: bool = False) -> str:
        reading = read_number(Answer(text, boxed=boxed))
        assert reading is not None
        return reading.rule

    assert rule("3") == "text: whole"
    assert rule("x = 3") == "text: after ="
    assert rule("the answer is three, I think") == "text: after answer"
    assert rule("I count 3 of them") == "text: last number"
    assert rule("3 or 4", boxed=True) == "boxed: not one number"
