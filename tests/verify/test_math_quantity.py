from fractions import Fraction

import pytest

from mimovl.verify.algebra import rational_value
from mimovl.verify.math_forms import Quantity
from mimovl.verify.math_quantity import read_quantities
from mimovl.verify.units import parse_unit


def first(text: str) -> Quantity:
    form = read_quantities(text)[0]
    assert isinstance(form, Quantity)
    return form


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("12 cm", 12, "cm"),
        ("12cm^2", 12, "cm^2"),
        ("50%", 50, "%"),
        ("60°", 60, "°"),
        ("¥20", 20, "元"),
        ("3×10^8 m/s".replace("×", "*"), 3 * 10**8, "m/s"),
        ("2 hours 30 minutes", 9000, "s"),
        ("3小时30分", 12600, "s"),
        ("5个", 5, "个"),
        ("about 5", 5, ""),
        ("约为3", 3, ""),
        ("面积为12", 12, ""),
        ("five", 5, ""),
        ("二分之一", Fraction(1, 2), ""),
        ("第3个", 3, "个"),
        ("12 apples", 12, "apples"),
    ],
)
def test_a_number_is_read_with_its_unit(text: str, value: Fraction | int, unit: str) -> None:
    found = first(text)
    assert rational_value(found.node) == value
    assert found.unit == (parse_unit(unit) if unit else None)


def test_a_numeral_of_another_base_has_its_value() -> None:
    assert rational_value(first("1011_2").node) == 11
    assert rational_value(first("ff_{16}".upper()).node) == 255
    assert all(form.unit is None for form in read_quantities("1021_2") if isinstance(form, Quantity))


def test_a_variable_is_no_unit() -> None:
    assert first("3x").unit is None and first("2xm").unit is None
    assert read_quantities("hello world") == []
