import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimovl.curate.world import WorldConfig, build_item
from mimovl.curate.world.arithmetic import work
from tests.curate.world.cached_items import items


def left_to_right(numbers: list[int], operators: str) -> int:
    total = numbers[0]
    for operator, number in zip(operators, numbers[1:], strict=True):
        total = {"+": total + number, "-": total - number, "*": total * number, "×": total * number}[operator]
    return total


def test_expressions_are_answered_right() -> None:
    plain = 0
    for item in items("world/arithmetic", 300):
        (turn,) = item.turns
        expression = re.search(r"[\d+×-]*\d[+×-][\d+×-]*\d", turn.question)
        if expression:
            plain += 1
            numbers = [int(number) for number in re.findall(r"\d+", expression[0])]
            assert turn.gold.answer == left_to_right(numbers, "".join(re.findall(r"[+×-]", expression[0])))
        assert turn.answer == f"\\boxed{{{turn.gold.answer}}}" and turn.gold.kind == "number"
    assert 150 < plain < 280


def test_word_problems_are_answered_right() -> None:
    signs = {"gives away": "-", "gets": "+", "loses": "-", "finds": "+", "buys": "+", "sells": "-", "bags": "*"}
    told = [item.turns[0] for item in items("world/arithmetic", 300) if item.turns[0].question.count(" ") > 4]
    assert len(told) > 50
    for turn in told:
        numbers = [int(number) for number in re.findall(r"\d+", turn.question)]
        if "bags" in turn.question:
            numbers[0], numbers[1] = numbers[1], numbers[0]
            operators = "*" + ("+" if "finds" in turn.question else "-")
        else:
            verbs = re.findall("gives away|gets|loses|finds|buys|sells", turn.question)
            operators = "".join(signs[verb] for verb in verbs)
            operators *= 2 if len(operators) == 1 else 1
        assert turn.gold.answer == left_to_right(numbers, operators), turn.question


def test_most_problems_are_not_trivial() -> None:
    for split in ("train", "heldout"):
        keys = [item.key for item in items("world/arithmetic", 300, split)]
        easy = [key for key in keys if max(int(number) for number in re.findall(r"\d+", key)) < 10]
        assert len(easy) < 0.06 * len(keys)


@given(a=st.integers(0, 999), b=st.integers(0, 999))
def test_sums_and_differences_are_worked_right(a: int, b: int) -> None:
    check_steps(work("+", a, b), a + b)
    check_steps(work("-", max(a, b), min(a, b)), abs(a - b))


@given(a=st.integers(0, 999), b=st.integers(2, 9))
def test_products_are_worked_right(a: int, b: int) -> None:
    check_steps(work("*", a, b), a * b)


def check_steps(text: str, result: int) -> None:
    """Every step of a worked operation is true, the digits make up the result, and the text is short."""
    head, body = text.split(": ")
    *steps, last = body.split("; ")
    assert last == str(result) and len(text) <= 75
    digits = ""
    for number, step in enumerate(steps):
        value = ""
        for equation in re.sub(r" (carry|borrow) \d", "", step).split(","):
            left, right = equation.split("=")
            terms = re.findall(r"\d+|[+×-]", value + left if left[0] == "+" else left)  # "…=16,+2=18" goes on from 16
            assert left_to_right([int(term) for term in terms[::2]], "".join(terms[1::2])) == int(right), step
            value = right
        carry = re.search(r"carry (\d)", step)
        assert (int(value) // 10 if "-" not in head and number < len(steps) - 1 else 0) == (
            int(carry[1]) if carry else 0
        )
        digits = (value if number == len(steps) - 1 else value[-1]) + digits
    assert int(digits) == result


def test_operations_of_the_default_levels_stay_short() -> None:
    lines = [line for item in items("world/arithmetic", 300) for line in item.turns[0].thought.split("\n")]
    assert max(map(len, lines)) <= 60


def test_sums_do_not_change_sides_when_their_operands_do() -> None:
    config = WorldConfig(arithmetic_levels={"add": 1.0}, chinese_share=0.0)
    for index in range(50):
        key = build_item("world/arithmetic", seed=0, index=index, split="train", config=config).key
        first, second = map(int, re.findall(r"\d+", key))
        assert first <= second


@pytest.mark.parametrize(("level", "lines"), [("add", {1}), ("multiply", {1}), ("word", {2}), ("chain", {4, 5, 6})])
def test_levels_set_the_number_of_steps(level: str, lines: set[int]) -> None:
    config = WorldConfig(arithmetic_levels={level: 1.0})
    found = [build_item("world/arithmetic", seed=0, index=i, split="train", config=config) for i in range(40)]
    assert {item.turns[0].thought.count("\n") + 1 for item in found} == lines
