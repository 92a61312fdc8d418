import pytest

from mimovl.verify.math_answer import math_candidates


@pytest.mark.parametrize(
    ("text", "first"),
    [
        (r"so \boxed{5}", "5"),
        (r"\boxed{4} no \boxed{5}", "5"),
        (r"x=\boxed{1} or x=\boxed{2}", "1, 2"),
        (r"\boxed{1}\text{ and }\boxed{2}", "1, 2"),
        (r"The answer is $\frac{1}{2}$ because of symmetry.", r"\frac{1}{2}"),
        ("The answer is **75%**.", "75%"),
        ("Answer: 5, since 2+3=5", "5"),
        (r"\boxed{\text{The area is } 12}", "12"),
        ("答案是 $5$。", "5"),
        ("5", "5"),
    ],
)
def test_the_likeliest_expression_comes_first(text: str, first: str) -> None:
    assert math_candidates(text)[0] == first


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        (r"First $a=3$, then $a+b=8$.", "a+b=8"),
        ("Adding 3 and 5 gives 8.", "8"),
        ("所以面积为12平方厘米。", "12平方厘米"),
        ("The solutions are $x=1$ and $x=2$.", "x=1, x=2"),
    ],
)
def test_the_expression_of_a_sentence_is_among_them(text: str, expression: str) -> None:
    assert expression in math_candidates(text)


@pytest.mark.parametrize("text", ["The answer is either 7 or 8.", "It is not 8.", "7 or 8"])
def test_a_hedge_or_a_denial_concludes_in_no_number(text: str) -> None:
    assert "8" not in math_candidates(text)


@pytest.mark.parametrize("text", ["", "  ", r"\boxed{}", r"\boxed{5"])
def test_there_may_be_nothing_to_read(text: str) -> None:
    assert math_candidates(text) == []
