import pytest

from mimovl.errors import DataError
from mimovl.types import Outcome
from mimovl.verify import grade
from mimovl.verify.length import measure_length


@pytest.mark.parametrize(("size", "score"), [(0, 1.0), (100, 1.0), (101, 0.98), (125, 0.5), (150, 0.0), (1000, 0.0)])
def test_the_score_falls_over_the_slack(size: int, score: float) -> None:
    assert grade("length", "x" * size, 100, slack=50).score == pytest.approx(score)


def test_without_slack_the_edge_is_hard_and_there_may_be_a_least() -> None:
    assert grade("length", "x" * 101, 100).score == 0
    assert grade("length", "xx", {"min": 3, "max": 10}).outcome is Outcome.WRONG
    assert grade("length", "xxx", {"min": 3, "max": 10}).outcome is Outcome.CORRECT


def test_parts_and_units_are_counted_apart() -> None:
    text = "<think>one two three</think>four 五六"
    assert measure_length(text, "words", "thought") == 3
    assert measure_length(text, "words", "answer") == 3
    assert measure_length(text, "characters", "answer") == 7
    assert measure_length("no thought", "words", "thought") == 0


def test_tokens_are_given_and_not_guessed() -> None:
    assert grade("length", "whatever", 10, unit="tokens", num_tokens=11).score == 0
    with pytest.raises(DataError, match="needs the option num_tokens"):
        grade("length", "whatever", 10, unit="tokens")


@pytest.mark.parametrize("gold", [-1, 2.5, "10", None, True, {"min": 5, "max": 4}, {"min": 5}])
def test_an_impossible_budget_is_refused(gold: object) -> None:
    with pytest.raises(DataError, match="is no budget"):
        grade("length", "x", gold)


def test_unknown_units_and_parts_are_refused() -> None:
    with pytest.raises(DataError, match="unknown length unit 'lines'"):
        grade("length", "x", 1, unit="lines")
    with pytest.raises(DataError, match="unknown part 'head'"):
        grade("length", "x", 1, of="head")
