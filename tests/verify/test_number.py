from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimovl.errors import DataError
from mimovl.verify import grade
from tests.verify.table import CUT, RIGHT, UNREAD, WRONG, Row, check, rows

TABLE = rows(
    ("42", 42, 1, RIGHT, "an integer"),
    (r"\boxed{42}", 42, 1, RIGHT, "a boxed integer"),
    (r"\boxed {42}", 42, 1, RIGHT, "a space before the brace"),
    (r"\boxed{{42}}", 42, 1, RIGHT, "further braces only group"),
    (r"\boxed{\text{42}}", 42, 1, RIGHT, "text mode inside the box"),
    (r"$\boxed{42}$.", 42, 1, RIGHT, "math delimiters around the box"),
    (r"\boxed{$42$}", 42, 1, RIGHT, "math delimiters inside the box"),
    (r"\boxed{12} then \boxed{42}", 42, 1, RIGHT, "the last box wins"),
    (r"\boxed{42} then \boxed{12}", 42, 0, WRONG, "an earlier right box does not count"),
    (r"<think>\boxed{42}</think>\boxed{12}", 42, 0, WRONG, "a box in the thought does not count"),
    (r"<think>\boxed{42}", 42, 0, CUT, "a box in an unfinished thought"),
    (r"<think>a</think>\boxed{1}<think>\boxed{42}", 42, 0, CUT, "thinking again without an end"),
    (r"so 40+2=42</think>\boxed{42}", 42, 1, RIGHT, "a thought opened in the prompt"),
    (r"<think></think>\boxed{42}<|im_end|>", 42, 1, RIGHT, "an end token is not text"),
    (r"\boxed{4", 42, 0, UNREAD, "an unclosed box"),
    (r"\boxed{42} and \boxed{4", 42, 0, UNREAD, "a last box that never closes"),
    ("-7", -7, 1, RIGHT, "a negative number"),
    ("−7", -7, 1, RIGHT, "a Unicode minus"),
    (r"\boxed{-7}", 7, 0, WRONG, "the sign counts"),
    ("７", 7, 1, RIGHT, "a full-width digit"),
    ("٧", 7, 1, RIGHT, "an Arabic-Indic digit"),
    ("7²", 7, 0, UNREAD, "a power is not its base"),
    ("1,234", 1234, 1, RIGHT, "a thousands separator"),
    ("1 234", 1234, 1, RIGHT, "a space as thousands separator"),
    (r"\boxed{1{,}234}", 1234, 1, RIGHT, "a TeX thousands separator"),
    (r"\boxed{12\,345}", 12345, 1, RIGHT, "a TeX thin space"),
    (r"\boxed{12,34}", 1234, 0, WRONG, "a comma elsewhere is no separator"),
    ("0.75", "3/4", 1, RIGHT, "a decimal equals a fraction"),
    ("3/4", 0.75, 1, RIGHT, "a fraction equals a decimal"),
    (r"\boxed{\frac{3}{4}}", 0.75, 1, RIGHT, "a TeX fraction"),
    (r"\boxed{-\dfrac{6}{8}}", -0.75, 1, RIGHT, "an unreduced negative display fraction"),
    (r"\boxed{\frac34}", 0.75, 1, RIGHT, "a TeX fraction without braces"),
    ("1 1/2", 1.5, 1, RIGHT, "a mixed number"),
    (r"\boxed{1\frac{1}{2}}", 1.5, 1, RIGHT, "a TeX mixed number"),
    ("½", 0.5, 1, RIGHT, "a fraction character"),
    ("1/0", 1, 0, UNREAD, "a division by zero is no number"),
    ("50%", 0.5, 1, RIGHT, "a percentage is a hundredth"),
    (r"\boxed{50\%}", "1/2", 1, RIGHT, "a TeX percentage"),
    ("50%", 50, 0, WRONG, "50 % is not 50"),
    ("50", "50%", 0, WRONG, "50 is not 50 %"),
    ("1.5e3", 1500, 1, RIGHT, "scientific notation"),
    (r"\boxed{1.5\times10^{3}}", 1500, 1, RIGHT, "TeX scientific notation"),
    (r"\boxed{6.02\times 10^{-23}}", "6.02e-23", 1, RIGHT, "a tiny number"),
    ("0.3333333", "1/3", 0, WRONG, "nothing is rounded"),
    ("0.0000000000000000000000000000001", "0.0000000000000000000000000000002", 0, WRONG, "tiny numbers differ"),
    ("$5", 5, 1, RIGHT, "a currency sign"),
    ("12 cm", 12, 1, RIGHT, "a unit the gold does not have"),
    (r"\boxed{12\text{ cm}}", "12 cm", 1, RIGHT, "the same unit"),
    ("5 cm", "5 m", 0, WRONG, "another unit"),
    ("12 apples", 12, 1, RIGHT, "a counted thing"),
    ("12个", 12, 1, RIGHT, "a Chinese measure word"),
    (r"\boxed{x=5}", 5, 1, RIGHT, "the right side of an equation"),
    (r"\boxed{2+3=5}", 5, 1, RIGHT, "the result of an equation"),
    (r"\boxed{2+3}", 5, 0, WRONG, "an expression is not a result"),
    (r"\boxed{2+3}", 3, 0, WRONG, "an operand is not a result"),
    ("2+3", 3, 0, UNREAD, "an operand of a bare expression"),
    ("10**100000", 100000, 0, UNREAD, "a Python power is not evaluated nor read"),
    ("10^9", 9, 0, UNREAD, "an exponent is not the answer"),
    (r"\boxed{__import__('os').system('true')}", 1, 0, WRONG, "code is not run"),
    ("1e999999999", 1, 0, UNREAD, "an absurd exponent"),
    (r"\boxed{3x}", 3, 0, WRONG, "a term is not its coefficient"),
    (r"\boxed{5 or 6}", 5, 0, WRONG, "two numbers are a hedge"),
    (r"\boxed{5, 6}", 6, 0, WRONG, "a list is a hedge"),
    ("The answer is 42 because 2 of 84 is half.", 42, 1, RIGHT, "the number after the answer is"),
    ("Answer: 42 apples. There were 50 before.", 42, 1, RIGHT, "the number after Answer"),
    ("12+30=42. So she has 42 apples.", 42, 1, RIGHT, "the last number of a sentence"),
    ("There were 42 apples, and 12 are left.", 42, 0, WRONG, "not the first number of a sentence"),
    ("5 boxes * 8 = 40 in all\n#### 42", 42, 1, RIGHT, "the mark of GSM8K"),
    ("He was able to answer 20 - 11 = <<20-11=9>>9 problems.\n#### 9", 9, 1, RIGHT, "the verb answer is no mark"),
    ("The final answer is 15 * 8 / 10 = 12 pints\nas shown", 12, 1, RIGHT, "the result of a marked line"),
    ("答案是42。", 42, 1, RIGHT, "Chinese answer is"),
    ("一共有四十二个苹果。", 42, 1, RIGHT, "Chinese numerals"),
    ("forty-two", 42, 1, RIGHT, "an English number word"),
    ("one hundred and five", 105, 1, RIGHT, "English hundreds"),
    ("The clock shows 10:42", 42, 0, UNREAD, "a time is not a number"),
    ("I do not know.", 42, 0, UNREAD, "no number"),
    ("NaN", 42, 0, UNREAD, "NaN"),
    ("inf", 42, 0, UNREAD, "infinity"),
    ("3.14", 3.14159, 1, RIGHT, "within the tolerance", {"tolerance": 0.01}),
    ("3.2", 3.14159, 0, WRONG, "outside the tolerance", {"tolerance": 0.01}),
    ("99", 100, 1, RIGHT, "within the relative tolerance", {"relative_tolerance": 0.01}),
    ("0", 0.0005, 0, WRONG, "a tolerance above the value lets no zero pass", {"tolerance": 0.001}),
    ("-0.0004", 0.0005, 0, WRONG, "nor another sign", {"tolerance": 0.001}),
    ("0.0004", 0.0005, 1, RIGHT, "but the same magnitude", {"tolerance": 0.001}),
)


@pytest.mark.parametrize("row", TABLE)
def test_number_is_read_as_the_table_says(row: Row) -> None:
    check("number", row)


@given(st.integers(-(10**30), 10**30))
def test_any_integer_in_a_box_is_read_exactly(value: int) -> None:
    assert grade("number", rf"<think>…</think>\boxed{{{value}}}", value).score == 1
    assert grade("number", f"{value:,}", value).score == 1
    assert grade("number", rf"\boxed{{{value}}}", value + 1).score == 0


@given(st.fractions(max_denominator=10**6))
def test_any_fraction_is_read_exactly(value: Fraction) -> None:
    tex = rf"\boxed{{{'-' if value < 0 else ''}\frac{{{abs(value.numerator)}}}{{{value.denominator}}}}}"
    assert grade("number", tex, value).score == 1


@pytest.mark.parametrize("gold", [Decimal("0.5"), "0.5", 0.5, np.float32(0.5), Fraction(1, 2), "1/2", "50%"])
def test_gold_may_be_any_form_of_number(gold: object) -> None:
    assert grade("number", "0.50", gold).score == 1


@pytest.mark.parametrize("gold", ["many", None, True, float("nan"), float("inf"), [1], ""])
def test_gold_that_is_no_number_is_refused(gold: object) -> None:
    with pytest.raises(DataError, match="is not a number"):
        grade("number", "1", gold)
