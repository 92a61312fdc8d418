from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimovl.errors import DataError
from mimovl.reward import RewardRouter, check_golden, golden_answer
from mimovl.types import Gold, Message, Outcome, Part, Sample, Verdict
from mimovl.verify.audit import read_labelled

LABELLED = Path(__file__).parent.parent / "verify" / "gold"
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
        (Gold("math", r"x<1 \text{ or } x>2"), r"\boxed{x<1 \text{ or } x>2}"),
        (Gold("math", r"\begin{pmatrix}1\\2\end{pmatrix}"), r"\boxed{\begin{pmatrix}1\\2\end{pmatrix}}"),
        (
            Gold("action", {"action": "click", "bbox": [10, 20, 50, 60]}),
            '{"action": "click", "start_point": [30.0, 40.0]}',
        ),
        (Gold("action", '{"action":"scroll","direction":"up"}'), '{"action": "scroll", "direction": "up"}'),
        (Gold("json", {"a": ["红"]}), '{"a": ["红"]}'),
        (Gold("format", "letter"), "A"),
        (Gold("format", ["thought", "boxed", "json"]), r'<think>1</think>\boxed{{"a":1}}'),
        (Gold("repetition", None), "Done."),
        (Gold("length", {"min": 3, "max": 5}), "xxx"),
        (Gold("length", {"min": 3, "max": 5}, {"unit": "words"}), "x x x"),
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
    with pytest.raises(DataError, match=r"'s-1' of task 'x', field gold.answer: its own gold answer .* earns 0.000"):
        check_golden([sample(Gold("text", "<think>red"))])


def test_forms_that_exclude_each_other_are_named_before_training() -> None:
    with pytest.raises(DataError, match=r"'s-1' of task 'x', field gold.answer: .* instead of 1 \(WRONG, not yes_no\)"):
        check_golden([sample(Gold("format", ["letter", "yes_no"]))])


@pytest.mark.parametrize(
    ("gold", "field"),
    [
        (Gold("action", {"action": "tap"}), "gold.answer: gold answer .* no such action: tap"),
        (Gold("json", "{"), "gold.answer: gold answer '{' is no JSON value"),
        (Gold("format", "boxd"), "gold.answer: unknown form 'boxd'"),
        (Gold("length", -1), "gold.answer: gold answer '-1' is no budget"),
        (Gold("repetition", 7), "gold.answer: gold answer '7' is no share"),
        (Gold("action", {"action": "wait"}, {"radus": 3}), "gold.options: unknown option 'radus'"),
    ],
)
def test_a_gold_of_every_kind_is_checked_and_its_field_named(gold: Gold, field: str) -> None:
    with pytest.raises(DataError, match=f"sample 's-1' of task 'x', field {field}"):
        check_golden([sample(gold)])


def test_every_labelled_gold_answer_earns_one() -> None:
    """What a person labelled as right for one answer must let the gold answer itself pass."""
    rows = [row for file in sorted(LABELLED.glob("*.jsonl")) for row in read_labelled(file)]
    golds = {repr((row.item.kind, row.item.gold)): row for row in rows}
    samples = [
        Sample(id=f"line {row.line}", messages=QUESTION, gold=Gold(row.item.kind, row.item.gold, row.item.options))
        for row in golds.values()
        if row.item.options.get("metric") not in ("iou",)
    ]
    assert check_golden(samples) == len(samples) > 300


def test_a_malformed_gold_is_named_with_its_sample() -> None:
    with pytest.raises(DataError, match="sample 's-1' of task 'x', field gold.answer: .* is not a box"):
        check_golden([sample(Gold("box", [1, 2, 3]))])


def test_a_sample_without_gold_is_named() -> None:
    with pytest.raises(DataError, match="'s-1' of task 'x' has no gold"):
        check_golden([sample(None)])


def test_a_reward_that_needs_no_gold_has_no_golden_answer_to_check() -> None:
    router = RewardRouter({"haiku": lambda sample, text: Verdict(0.5, Outcome.WRONG)})
    assert check_golden([sample(None, "haiku"), sample(Gold("count", 1))], router) == 1
