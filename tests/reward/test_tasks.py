import numpy as np
import pytest

from mimovl.errors import DataError
from mimovl.reward.tasks import TASK_KINDS, read_gold
from mimovl.types import Gold
from mimovl.verify import KINDS


@pytest.mark.parametrize(
    ("task", "gold", "kind", "expected"),
    [
        ("counting", 3, None, Gold("count", 3)),
        ("math", r"\frac12", None, Gold("math", r"\frac12")),
        ("grounding", [1, 2, 3, 4], None, Gold("box", [1, 2, 3, 4])),
        ("counting", 3, "number", Gold("number", 3)),
        ("anything", 3, "number", Gold("number", 3)),
        ("anything", {"kind": "box", "answer": [1, 2, 3, 4]}, None, Gold("box", [1, 2, 3, 4])),
        ("x", '{"kind": "text", "answer": "a", "options": {"m": "f1"}}', None, Gold("text", "a", {"m": "f1"})),
        # with a kind beside it, or other keys in it, the answer stands as it is
        ("x", {"kind": "text", "answer": "a"}, "json", Gold("json", {"kind": "text", "answer": "a"})),
        # a column of strings holds structures as JSON
        ("grounding", "[1, 2, 3, 4]", None, Gold("box", [1, 2, 3, 4])),
        ("grounding", "[1, 2", None, Gold("box", "[1, 2")),
        ("text", "[1, 2]", None, Gold("text", "[1, 2]")),
        ("json", {"kind": "a", "answer": 1, "b": 2}, None, Gold("json", {"kind": "a", "answer": 1, "b": 2})),
        ("text", "{not json", None, Gold("text", "{not json")),
        ("text", "{" * 100_000, None, Gold("text", "{" * 100_000)),
    ],
)
def test_the_kind_of_a_gold_answer_is_found(task: str, gold: object, kind: str | None, expected: Gold) -> None:
    assert read_gold(task, gold, kind) == expected


def test_options_beside_a_gold_go_over_those_inside() -> None:
    inside = {"kind": "box", "answer": [1, 2, 3, 4], "options": {"metric": "iou", "threshold": 0.3}}
    assert read_gold("x", inside, options={"threshold": 0.5}) == Gold(
        "box", [1, 2, 3, 4], {"metric": "iou", "threshold": 0.5}
    )


def test_a_configured_task_goes_before_the_built_in_ones() -> None:
    assert read_gold("ocr", 7, kinds={"ocr": "number"}) == Gold("number", 7)


def test_every_task_that_is_built_in_has_a_kind_that_exists() -> None:
    assert set(TASK_KINDS.values()) <= set(KINDS) and set(KINDS) <= set(TASK_KINDS)


def test_an_unknown_task_is_named_with_the_nearest() -> None:
    with pytest.raises(DataError, match=r"field task: unknown task 'countin'; did you mean 'counting'\?.*field kind"):
        read_gold("countin", 3)


def test_a_missing_gold_answer_is_named() -> None:
    with pytest.raises(DataError, match="field gold: task 'counting' is graded against a gold answer"):
        read_gold("counting", None)


def test_a_task_with_a_reward_of_its_own_needs_neither_gold_nor_kind() -> None:
    assert read_gold("haiku", None, needed=False) is None
    assert read_gold("haiku", "spring", needed=False) == Gold("haiku", "spring")


def test_options_that_are_none_are_refused() -> None:
    with pytest.raises(DataError, match="field gold.options: 3 is not a mapping"):
        read_gold("x", {"kind": "box", "answer": [1, 2, 3, 4], "options": 3})


def test_arrays_that_parquet_files_become_are_lists() -> None:
    boxes = np.array([np.array([1, 2, 3, 4]), np.array([5.5, 6, 7, 8])], dtype=object)
    gold = read_gold("x", {"kind": "box", "answer": boxes, "options": {"threshold": np.float64(0.5)}})
    assert gold == Gold("box", [[1, 2, 3, 4], [5.5, 6, 7, 8]], {"threshold": 0.5})
    assert type(read_gold("counting", np.int64(3)).answer) is int  # type: ignore[union-attr]


def test_a_gold_nested_without_end_is_refused() -> None:
    gold: list[object] = []
    for _ in range(100_000):
        gold = [gold]
    with pytest.raises(DataError, match="field gold: nested too deeply"):
        read_gold("x", gold)
