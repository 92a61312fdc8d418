r"""Grade a mathematical answer by a cascade; the rule that decided is recorded.

1. the same text after normalisation (TeX spacing, ``\dfrac``, case of whole words);
2. exact rational value of both sides, own parser (``rational.py``);
3. Math-Verify, the grader of MiMo-VL's STEM reward (§3.1), LaTeX only, in a process that is killed on timeout, when the
   ``math`` extra is installed;
4. NOT_GRADED: score 0, but not called wrong.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from mimovl.errors import DataError
from mimovl.types import Outcome, Verdict
from mimovl.verify.answer import after_marker, no_answer, plain, read_answer, shown, verdict
from mimovl.verify.math_process import math_verify_installed, symbolic_equal
from mimovl.verify.numerals import clean_latex, parse_quantity
from mimovl.verify.rational import parse_rational

__all__ = ["verify_math"]

MAX_CHARS = 1000
MAX_SYMBOLIC_CHARS = 300
"""Longer expressions are not handed to the symbolic library."""


def verify_math(text: str, gold: Any, *, symbolic: bool = True) -> Verdict:
    r"""Score 1 when an answer equals the gold expression.

    Args:
        text: the answer, without the thought; its last ``\boxed{}``, else what follows "the answer is", else all of it.
        gold: the expression as TeX or plain text, or a number.
        symbolic: whether Math-Verify may be asked.

    Raises:
        DataError: the gold is empty.
    """
    expected = _expression(str(gold))
    if isinstance(gold, bool) or not expected:
        raise DataError(f"gold answer {gold!r} is not an expression; give TeX such as '\\frac{{3}}{{4}}' or a number")
    answer = read_answer(text)
    if answer is None:
        return no_answer("no expression")
    given_text = answer.text if answer.boxed else after_marker(answer.text) or answer.text
    if len(given_text) > MAX_CHARS:
        return verdict(0.0, correct=False, answer=given_text, rule="too long for an answer")
    given = _expression(given_text)
    if not given:
        return no_answer("no expression")
    for decide in (_same_text, _same_value):
        decided = decide(given, expected)
        if decided is not None:
            right, rule = decided
            return verdict(float(right), correct=right, answer=given, rule=rule)
    return _symbolic(given, expected, allowed=symbolic)


_NAME_EQUALS = re.compile(r"^[A-Za-z]\s*=\s*(?=[^=]*$)")


def _expression(text: str) -> str:
    text = clean_latex(plain(text.strip())).rstrip(".。")
    return _NAME_EQUALS.sub("", text).strip()


def _same_text(given: str, gold: str) -> tuple[bool, str] | None:
    first, second = given.replace(" ", ""), gold.replace(" ", "")
    if first == second:
        return True, "same text"
    if first.casefold() == second.casefold():
        # "no solution" may be capitalised; the variables a and A differ
        return len(first) > 1 and first.isalpha(), "same letters"
    return None


def _same_value(given: str, gold: str) -> tuple[bool, str] | None:
    first, second = _value(given), _value(gold)
    if first is None or second is None:
        return None
    if first[1] and second[1] and first[1] != second[1]:
        return None  # 5 m against 500 cm: nobody here converts units
    return first[0] == second[0], "exact value"


def _value(text: str) -> tuple[Fraction, str] | None:
    quantity = parse_quantity(text)
    if quantity is not None:
        return quantity.value, quantity.unit
    value = parse_rational(text)
    return None if value is None else (value, "")


def _symbolic(given: str, gold: str, *, allowed: bool) -> Verdict:
    def not_graded(rule: str) -> Verdict:
        return Verdict(score=0.0, outcome=Outcome.NOT_GRADED, answer=shown(given), rule=rule)

    if not allowed or not math_verify_installed():
        return not_graded("not equal by rules; Math-Verify not asked")
    if _has_unit(given) or _has_unit(gold):
        return not_graded("units differ")  # Math-Verify drops units: 5 cm would equal 5 m
    if max(len(given), len(gold)) > MAX_SYMBOLIC_CHARS or not _balanced(given):
        return not_graded("not an expression Math-Verify is given")
    comparison = symbolic_equal(gold, given)
    if comparison in ("equal", "different"):
        right = comparison == "equal"
        return verdict(float(right), correct=right, answer=given, rule="Math-Verify")
    return not_graded(f"Math-Verify: {comparison}")


def _has_unit(text: str) -> bool:
    quantity = parse_quantity(text)
    return quantity is not None and bool(quantity.unit)


def _balanced(text: str) -> bool:
    depth = 0
    for match in re.finditer(r"\\.|[{}]", text, re.DOTALL):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth < 0:
            return False
    return depth == 0
