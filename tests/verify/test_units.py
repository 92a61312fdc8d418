from fractions import Fraction

import pytest

from mimovl.verify.units import Unit, parse_unit


def unit(text: str) -> Unit:
    found = parse_unit(text)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("first", "second", "factor"),
    [
        ("m", "cm", 100),
        ("m^2", "cm^2", 10_000),
        ("L", "cm^3", 1000),
        ("km/h", "m/s", Fraction(5, 18)),
        ("hours", "minutes", 60),
        ("kWh", "J", 3_600_000),
        ("N·m".replace("·", "*"), "J", 1),
        ("kg*m/s^2", "N", 1),
        ("kN", "N", 1000),
        ("ft", "inches", 12),
        ("years", "months", 12),
        ("dollars", "cents", 100),
        ("square centimetres", "cm^2", 1),
        ("sq ft", "ft^2", 1),
        ("cubic meters", "m3", 1),
        ("kilometers per hour", "km/h", 1),
        ("平方厘米", "cm^2", 1),
        ("千米每小时", "km/h", 1),
        ("公顷", "m^2", 10_000),
        ("元", "角", 10),
        ("m s^{-1}", "m/s", 1),
        ("J/(kg*K)", "J kg^{-1} K^{-1}", 1),
        ("dozen", "unit", 12),
        ("mL", "L", Fraction(1, 1000)),
        ("µm", "um", 1),
    ],
)
def test_units_of_one_dimension_convert(first: str, second: str, factor: Fraction | int) -> None:
    one, two = unit(first), unit(second)
    assert one.dimension == two.dimension and not one.counted
    assert one.factor / two.factor == factor


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("cm", "cm^2"),
        ("m/s", "m/s^2"),
        ("J", "W"),
        ("°", "rad"),
        ("°C", "°F"),
        ("dollars", "euros"),
        ("kg", "N"),
        ("s", "m"),
    ],
)
def test_units_of_other_dimensions_do_not(first: str, second: str) -> None:
    assert unit(first).dimension != unit(second).dimension


def test_percent_and_per_mille_are_pure_numbers() -> None:
    assert unit("%") == Unit((), Fraction(1, 100)) and unit("‰") == Unit((), Fraction(1, 1000))


def test_other_words_are_things_counted() -> None:
    assert unit("apples") == unit("apple") == Unit((("apple", 1),), Fraction(1), counted=True)
    assert unit("个苹果").dimension == (("苹果", 1),)
    assert unit("个") == Unit((), Fraction(1), counted=True)


@pytest.mark.parametrize("text", ["", "^2", "1", "cm 5", "+", "x" * 100, "m/", "()"])
def test_other_text_is_no_unit(text: str) -> None:
    assert parse_unit(text) is None
