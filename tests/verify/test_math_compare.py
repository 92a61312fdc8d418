import pytest

from mimovl.verify.math_compare import compare_readings
from mimovl.verify.math_read import read_forms


def same(gold: str, given: str) -> bool | None:
    return compare_readings(read_forms(gold), read_forms(given))


@pytest.mark.parametrize(
    ("gold", "given"),
    [
        ("5 m", "500 cm"),
        ("(0,1)", "0<x<1"),
        (r"\{1,2\}", "2, 1"),
        (r"\{1,2\}", r"\{1,1,2\}"),
        ("0.5", r"50\%"),
        ("60°", r"\frac{\pi}{3}"),
        ("60°", "60"),
        ("x=1,y=2", "(1,2)"),
        ("y=2x+1", "2x-y+1=0"),
        ("y=2x+1", "2x+1"),
        ("3:4", r"\frac{3}{4}"),
        ("1:2:3", "2:4:6"),
        ("(3,-2)", r"\begin{pmatrix}3\\-2\end{pmatrix}"),
        (r"x=2k\pi, k\in\mathbb{Z}", r"2n\pi, n\in\mathbb{Z}"),
        (r"\infty", r"\text{infinitely many}"),
        ("x+y<3", "3>x+y"),
        ("2x+2y<6", "x+y<3"),
        ("1011_2", "1011"),
        ("1011_2", "13_8"),
        (r"60^\circ, 120^\circ", r"60^\circ \text{ or } 120^\circ"),
        ("2x", r"\frac{dy}{dx}=2x"),
        ("20", "A_5^2=20"),
    ],
)
def test_forms_that_mean_the_same_are_equal(gold: str, given: str) -> None:
    assert same(gold, given) is True


@pytest.mark.parametrize(
    ("gold", "given"),
    [
        ("5 m", "5 cm"),
        ("50", r"50\%"),
        ("(1,2)", "(2,1)"),
        ("[0,1)", "(0,1]"),
        (r"\{1,2\}", "(1,2)"),
        (r"\{1,2\}", "1"),
        ("x=5", "y=5"),
        ("y=2x+1", "y=2x+2"),
        ("x+y<3", "x+y>3"),
        ("x+y<3", r"x+y\le 3"),
        ("3:4", "4:3"),
        ("60°", "30°"),
        (r"\text{yes}", r"\text{no}"),
        (r"\text{no solution}", "0"),
        ("1011_2", "1101"),
        ("5 kg", "5 apples"),
    ],
)
def test_forms_that_mean_something_else_are_not(gold: str, given: str) -> None:
    assert not same(gold, given)


def test_words_that_are_not_known_are_not_decided() -> None:
    assert same("12 students", "12 people") is None
    assert same(r"\text{Tuesday}", r"\text{Monday}") is None
    assert same("12 students", "13 people") is False
