import pytest

from mimovl.verify.math_forms import Group, Matrix, Quantity, Ratio, Region, Relation, Words
from mimovl.verify.math_read import read_forms


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("5", [Quantity]),
        (r"\{1,2\}", [Group]),
        ("(0,1)", [Group, Region]),
        ("[0,1)", [Region]),
        ("0<x<1", [Region]),
        (r"x\ne 2", [Region]),
        (r"(-\infty,1)\cup(2,\infty)", [Region]),
        (r"\mathbb{R}\setminus\{2\}", [Region]),
        (r"\text{no solution}", [Region]),
        (r"\text{all real numbers}", [Region]),
        (r"\text{yes}", [Words]),
        (r"\text{Tuesday}", [Words]),
        ("3:4", [Ratio]),
        ("y=2x+1", [Quantity, Relation]),
        ("x+y=3", [Relation]),
        ("x+y<3", [Relation]),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", [Matrix]),
        ("100,200", [Quantity, Group]),
        (r"\pm 2", [Group]),
        ("x=1, y=2", [Group]),
        ("2+3=5", [Quantity]),
    ],
)
def test_a_text_has_the_forms_a_reader_sees(text: str, kinds: list[type]) -> None:
    forms = read_forms(text)
    assert [type(form) for form in forms[: len(kinds)]] == kinds


def test_two_named_values_keep_their_names_and_solutions_of_one_variable_do_not() -> None:
    [named] = read_forms("x=1, y=2")
    assert isinstance(named, Group) and named.kind == "tuple" and named.names == ("x", "y")
    [solutions] = read_forms("x=1 or x=2")
    assert isinstance(solutions, Group) and solutions.kind == "list" and not solutions.names


@pytest.mark.parametrize(
    "text", ["", "()", "{" * 50, r"\begin{pmatrix}", ",,,", "=", "<", r"\cup", "|", "or", "1," * 200]
)
def test_broken_text_is_read_as_words_and_never_raises(text: str) -> None:
    forms = read_forms(text)
    assert forms and all(isinstance(form, Words | Quantity | Region | Group) for form in forms)
