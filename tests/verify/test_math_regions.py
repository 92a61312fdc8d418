import pytest

from mimovl.verify.algebra import normalise, parse_expression
from mimovl.verify.algebra.nodes import Node
from mimovl.verify.math_regions import (
    ALL,
    NONE,
    Piece,
    complement,
    intersection,
    joined,
    point,
    same_region,
    solve_linear,
)


def node(text: str) -> Node:
    return parse_expression(normalise(text))


def piece(low: str, high: str, ends: str = "()") -> Piece:
    return Piece(node(low), ends[0] == "[", node(high), ends[1] == "]")


def test_pieces_that_touch_are_joined_and_a_missing_point_stays_missing() -> None:
    assert joined([piece("2", "3", "[]"), piece("1", "2", "[]")]) == (piece("1", "3", "[]"),)
    assert len(joined([piece("1", "2"), piece("2", "3")]) or ()) == 2
    assert joined([piece("1", "2"), piece("2", "3"), point(node("2"))]) == (piece("1", "3"),)
    assert joined([piece("3", "1")]) == ()


def test_intersection_and_complement_are_those_of_sets() -> None:
    assert intersection([piece("1", "3")], [piece("2", "4", "[]")]) == (piece("2", "3", "[)"),)
    assert intersection([piece("1", "2")], [piece("2", "3")]) == NONE
    assert complement([piece("1", "2")]) == (piece("-inf", "1", "(]"), piece("2", "inf", "[)"))
    assert complement(NONE) == ALL
    assert intersection([piece("a", "b")], [piece("1", "2")]) is None


@pytest.mark.parametrize(
    ("left", "sign", "right", "expected"),
    [
        ("x", "<", "3", [("-inf", "3", "()")]),
        ("3", "<", "x", [("3", "inf", "()")]),
        ("2x-1", r"\ge", "5", [("3", "inf", "[)")]),
        ("-x", "<", "-3", [("3", "inf", "()")]),
        ("x", r"\ne", "2", [("-inf", "2", "()"), ("2", "inf", "()")]),
        ("|x|", r"\le", "1", [("-1", "1", "[]")]),
        ("|x-2|", ">", "3", [("-inf", "-1", "()"), ("5", "inf", "()")]),
    ],
)
def test_inequalities_of_first_degree_are_solved(
    left: str, sign: str, right: str, expected: list[tuple[str, str, str]]
) -> None:
    solved = solve_linear(node(left), node(right), sign)
    assert solved is not None
    assert same_region(solved, [piece(*one) for one in expected]) is True


def test_others_are_not_solved() -> None:
    assert solve_linear(node("x^2"), node("4"), "<") is None
    assert solve_linear(node("x+y"), node("4"), "<") is None


def test_regions_are_compared_by_value() -> None:
    assert same_region([piece(r"\frac{1}{2}", r"\sqrt{4}", "[]")], [piece("0.5", "2", "[]")]) is True
    assert same_region([piece("0", "1")], [piece("0", "1", "[]")]) is False
    assert same_region([piece("a", "b")], [piece("a", "b")]) is True
    assert same_region([piece("a", "b")], [piece("b", "a")]) is False
    assert same_region([point(node("0"))], [piece("0", "0", "[]")]) is True
