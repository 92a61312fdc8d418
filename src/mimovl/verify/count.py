r"""Grade a count: "3", "three", "三", ``\boxed{3}`` and "There are 3 circles." read as 3 (MiMo-VL §3.1, counting)."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from mimovl.errors import DataError
from mimovl.types import Verdict
from mimovl.verify.answer import no_answer, read_answer, verdict
from mimovl.verify.numerals import gold_quantity, read_number

__all__ = ["gold_count", "read_count", "verify_count"]


def verify_count(text: str, gold: Any) -> Verdict:
    """Score 1 when the answer gives exactly the gold count, else 0.

    Args:
        text: the answer, without the thought.
        gold: a non-negative integer, as a number or as text.

    Raises:
        DataError: the gold is not a non-negative integer.
    """
    expected = gold_count(gold)
    answer = read_answer(text)
    reading = read_number(answer) if answer else None
    if reading is None:
        return no_answer("no number")
    if reading.quantity is None:
        return verdict(0.0, correct=False, answer=reading.text, rule=reading.rule)
    right = reading.quantity.value == expected
    return verdict(float(right), correct=right, answer=str(reading.quantity.value), rule=f"{reading.rule}; exact")


def read_count(text: str) -> Fraction | None:
    """The number an answer gives, for error measures; None when none can be read."""
    answer = read_answer(text)
    reading = read_number(answer) if answer else None
    return reading.quantity.value if reading and reading.quantity else None


def gold_count(gold: Any) -> int:
    """Read a gold count.

    Raises:
        DataError: it is not a non-negative integer.
    """
    value = gold_quantity(gold).value
    if value.denominator != 1 or value < 0:
        raise DataError(f"gold answer {str(gold)[:80]!r} is not a count; give an integer of at least 0")
    return int(value)
