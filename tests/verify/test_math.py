import pytest

from mimovl.errors import DataError
from mimovl.types import Outcome
from mimovl.verify import grade
from mimovl.verify.math_process import math_verify_installed
from tests.verify.table import CUT, RIGHT, UNGRADED, UNREAD, WRONG, Row, check, rows

RULES_ONLY = {"symbolic": False}

TABLE = rows(
    (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}", 1, RIGHT, "the same text", RULES_ONLY),
    (r"\boxed{\frac{\sqrt{3}}{2}}", r"\frac{\sqrt{3}}{2}", 1, RIGHT, "braces nested twice", RULES_ONLY),
    (r"\boxed{x^{2^{3}}}", "x^{2^{3}}", 1, RIGHT, "braces nested three times", RULES_ONLY),
    (r"\boxed{\left\{1,2\right\}}", r"\{1, 2\}", 1, RIGHT, "escaped braces are characters", RULES_ONLY),
    (r"\boxed{\dfrac{1}{2}}", "0.5", 1, RIGHT, "a fraction equals a decimal", RULES_ONLY),
    (r"\boxed{2^{-99}}", "2^{-98}", 0, WRONG, "tiny powers differ", RULES_ONLY),
    (r"\boxed{2^{10}}", "1024", 1, RIGHT, "a power is its value", RULES_ONLY),
    (r"\boxed{\frac{1+2}{4}}", "3/4", 1, RIGHT, "a sum in a fraction", RULES_ONLY),
    (r"\boxed{x = 5}", "5", 1, RIGHT, "a name and its value", RULES_ONLY),
    (r"\boxed{50\%}", "50", 0, WRONG, "50 % is not 50", RULES_ONLY),
    (r"\boxed{50\%}", r"\frac12", 1, RIGHT, "50 % is one half", RULES_ONLY),
    (r"\boxed{5\text{ cm}}", r"5\text{ m}", 0, WRONG, "5 cm are not 5 m", RULES_ONLY),
    (r"\boxed{5\text{ cm}}", "5", 1, RIGHT, "a unit the gold leaves out", RULES_ONLY),
    (r"\boxed{No Solution}", "no solution", 1, RIGHT, "words without case", RULES_ONLY),
    (r"\boxed{A}", "a", 0, WRONG, "variables keep their case", RULES_ONLY),
    (r"The answer is $\frac{3}{4}$.", "0.75", 1, RIGHT, "after the answer is", RULES_ONLY),
    ("12", 12, 1, RIGHT, "a number as gold", RULES_ONLY),
    ("13", 12, 0, WRONG, "plain numbers are decided", RULES_ONLY),
    (r"\boxed{\sqrt{2}}", r"\frac{2}{\sqrt{2}}", 1, RIGHT, "roots are exact", RULES_ONLY),
    (r"\boxed{10^{10^{10}}}", "10", 0, UNGRADED, "a tower of powers is not computed", RULES_ONLY),
    (r"\boxed{1/0}", "1", 0, WRONG, "a division by zero equals nothing", RULES_ONLY),
    (r"\boxed{" + "(" * 200 + "1" + ")" * 200 + "}", "1", 0, UNGRADED, "absurd nesting", RULES_ONLY),
    (r"\boxed{" + "1+" * 5000 + "1}", "5001", 0, WRONG, "too long for an answer", RULES_ONLY),
    ("", "1", 0, UNREAD, "empty", RULES_ONLY),
    (r"<think>\boxed{1}", "1", 0, CUT, "an unfinished thought", RULES_ONLY),
)


@pytest.mark.parametrize("row", TABLE)
def test_math_is_graded_by_rules_as_the_table_says(row: Row) -> None:
    check("math", row)


SYMBOLIC = rows(
    (r"\boxed{\sqrt{2}}", r"\frac{2}{\sqrt{2}}", 1, RIGHT, "equal roots"),
    (r"\boxed{(x+1)^2}", "x^2+2x+1", 1, RIGHT, "equal polynomials"),
    (r"\boxed{\pi}", "3", 0, WRONG, "pi is not 3"),
    (r"\boxed{\{2, 1\}}", r"\{1,2\}", 1, RIGHT, "sets have no order"),
    (r"\boxed{\frac{1}{", r"\sqrt{2}", 0, UNREAD, "an unclosed box is not handed on"),
    (r"\sqrt{2", r"\sqrt{2}", 0, UNGRADED, "unbalanced braces are not handed on"),
)


@pytest.mark.skipif(not math_verify_installed(), reason="needs the math extra")
@pytest.mark.parametrize("row", SYMBOLIC)
def test_math_beyond_the_rules_is_graded_by_math_verify(row: Row) -> None:
    check("math", row)


def test_without_math_verify_an_expression_is_not_graded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mimovl.verify.math.math_verify_installed", lambda: False)
    verdict = grade("math", r"\boxed{\int_0^1 x\,dx}", r"\frac{1}{2}")
    assert verdict.outcome is Outcome.NOT_GRADED and verdict.score == 0


@pytest.mark.parametrize("gold", ["", "  ", True])
def test_empty_gold_is_refused(gold: object) -> None:
    with pytest.raises(DataError, match="is not an expression"):
        grade("math", "1", gold)
