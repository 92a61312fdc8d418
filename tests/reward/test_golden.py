import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimovl.errors import DataError
from mimovl.reward import RewardRouter, check_golden, golden_answer
from mimovl.types import Gold, Message, Outcome, Part, Sample, Verdict

QUESTION = (Message("user", (Part("text", "?"),)),)


def sample(gold: Gold | None, task: str = "x") -> Sample:
    return Sample(id="s-1", messages=QUESTION, task=task, gold=gold)


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        (Gold("box", [1, 2, 3, 4]), '[{"bbox_2d":[1,2,3,4]}]'),
        (Gold("box", [[1, 2, 3, 4], [5, 6, 7, 8.5]]), '[{"bbox_2d":[1,2,3,4]},{"bbox_2d":[5,6,7,8.5]}]'),
        (Gold("point", [1, 2, 4, 4]), '{"action":"click","start_point":[2.5,3]}'),
        (Gold("span", [3.0, 7.0]), "[00:03,00:07]"),
        (Gold("span", [59.5, 61.25]), "[00:59.5,01:01.25]"),
        (Gold("number", 7), r"\boxed{7}"),
        (Gold("math", r"\frac{\sqrt{3}}{2}"), r"\boxed{\frac{\sqrt{3}}{2}}"),
        (Gold("count", 3), "3"),
        (Gold("choice", "B"), "B"),
        (Gold("text", "top left", {"aliases": ["upper left"]}), "top left"),
    ],
)
def test_the_canonical_form_of_each_kind_earns_one(gold: Gold, answer: str) -> None:
    assert golden_answer(gold) == answer
    assert check_golden([sample(gold)]) == 1


@given(st.floats(0, 9000), st.floats(0.001, 600))
def test_any_span_survives_its_written_form(start: float, length: float) -> None:
    start = round(start, 3)
    end = round(start + length, 3)
    if start < end:
        assert check_golden([sample(Gold("span", [start, end]))]) == 1


@given(st.lists(st.tuples(*[st.floats(0, 5000)] * 2, *[st.floats(1, 500)] * 2), min_size=1, max_size=5))
def test_any_boxes_survive_their_written_form(boxes: list[tuple[float, float, float, float]]) -> None:
    gold = Gold("box", [[x, y, x + w, y + h] for x, y, w, h in boxes])
    assert check_golden([sample(gold, "multi_grounding")]) == 1


def test_a_sample_whose_gold_cannot_earn_one_is_named() -> None:
    with pytest.raises(DataError, match=r"sample 's-1' of task 'x': its own gold answer .* earns 0.000 instead of 1"):
        check_golden([sample(Gold("text", "<think>red"))])


def test_a_malformed_gold_is_named_with_its_sample() -> None:
    with pytest.raises(DataError, match="sample 's-1' of task 'x', field gold.answer: .* is not a box"):
        check_golden([sample(Gold("box", [1, 2, 3]))])


def test_a_sample_without_gold_is_named() -> None:
    with pytest.raises(DataError, match="'s-1' of task 'x' has no gold"):
        check_golden([sample(None)])


def test_a_reward_that_needs_no_gold_has_no_golden_answer_to_check() -> None:
    router = RewardRouter({"haiku": lambda sample, text: Verdict(0.5, Outcome.WRONG)})
    assert check_golden([sample(None, "haiku"), sample(Gold("count", 1))], router) == 1
