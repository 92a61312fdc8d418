"""Grade a number: exact rational comparison, an optional tolerance, units that convert.

Departs from Math-Verify, which holds 50 and 50 % equal, 5 cm and 5 m, and numbers that differ after the sixth decimal.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from mimovl.types import Verdict
from mimovl.verify.answer import no_answer, read_answer, verdict
from mimovl.verify.numerals import Quantity, gold_quantity, read_number
from mimovl.verify.units import parse_unit

__all__ = ["verify_number"]


def verify_number(text: str, gold: Any, *, tolerance: float = 0.0, relative_tolerance: float = 0.0) -> Verdict:
    """Score 1 when the number read from an answer equals the gold one, else 0.

    Args:
        text: the answer, without the thought.
        gold: an int, float, Fraction or text ("3/4", "1,200", "50%", "5 cm").
        tolerance: largest absolute difference still right.
        relative_tolerance: largest difference still right, as a share of the gold value.

    Raises:
        DataError: the gold is not a number.
    """
    expected = gold_quantity(gold)
    answer = read_answer(text)
    reading = read_number(answer) if answer else None
    if reading is None:
        return no_answer("no number")
    if reading.quantity is None:
        return verdict(0.0, correct=False, answer=reading.text, rule=reading.rule)
    right, rule = _equal(reading.quantity, expected, Fraction(tolerance), Fraction(relative_tolerance))
    shown = _written(reading.quantity)
    return verdict(float(right), correct=right, answer=shown, rule=f"{reading.rule}; {rule}")


def _equal(given: Quantity, gold: Quantity, tolerance: Fraction, relative: Fraction) -> tuple[bool, str]:
    if gold.unit and given.unit and gold.unit.lower() != given.unit.lower():
        units = parse_unit(given.unit), parse_unit(gold.unit)
        if units[0] is None or units[1] is None or units[0].dimension != units[1].dimension:
            return False, "other unit"
        given = Quantity(given.value * units[0].factor / units[1].factor, gold.unit)
    if given.value == gold.value:
        return True, "exact"
    allowed = max(tolerance, relative * abs(gold.value))
    if abs(given.value - gold.value) > allowed or not allowed:
        return False, "exact" if not allowed else "tolerance"
    if allowed > abs(gold.value) > 0:
        # Such a tolerance would let 0 and -gold pass: sign and magnitude must agree as well.
        ratio = given.value / gold.value
        return Fraction(1, 10) <= ratio <= 10, "tolerance and magnitude"
    return True, "tolerance"


def _written(quantity: Quantity) -> str:
    """The value in its shortest exact form: 12, 0.75 as 3/4."""
    value = str(quantity.value)
    return f"{value} {quantity.unit}" if quantity.unit else value
