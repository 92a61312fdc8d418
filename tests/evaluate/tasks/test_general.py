import pytest

from mimovl.errors import DataError, UsageError
from mimovl.evaluate import task_for_gold, tasks_for
from mimovl.types import Completion, Gold
from mimovl.verify import KINDS
from tests.evaluate.questions import counting, question

GOLDS = {
    "choice": "B",
    "number": 1,
    "math": "1",
    "box": [0, 0, 1, 1],
    "point": [0, 0, 1, 1],
    "count": 1,
    "span": [0, 1],
    "text": "a",
    "action": {"action": "wait"},
    "json": {"a": 1},
    "format": "boxed",
    "repetition": None,
    "length": 100,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_gold_has_a_task(kind: str) -> None:
    task = task_for_gold("mine", Gold(kind, GOLDS[kind]))
    sample = question("q", "mine", Gold(kind, GOLDS[kind]))
    assert task.name == "mine" and task.takes(sample) and task.metric
    assert 0 <= task.judge(sample, Completion("?", "stop")).score <= 1


def test_several_boxes_are_a_mean_and_one_an_accuracy() -> None:
    assert task_for_gold("x", Gold("box", [[0, 0, 1, 1]])).binary
    assert task_for_gold("x", Gold("box", [[0, 0, 1, 1], [2, 2, 3, 3]])).metric == "mean IoU"
    assert task_for_gold("x", Gold("text", "a", {"metric": "edit"})).metric == "1 - edit distance"


def test_unknown_kind_is_refused_with_the_task() -> None:
    with pytest.raises(DataError, match="task 'mine' has gold of unknown kind 'colour', not one of"):
        task_for_gold("mine", Gold("colour", "red"))


def test_known_tasks_come_first_in_their_order_and_others_are_made() -> None:
    samples = [
        question("x", "cells", Gold("count", 3)),
        question("y", "gui_point", Gold("point", [0, 0, 1, 1])),
        *counting(1),
        question("z", "text", None),
    ]
    assert [task.name for task in tasks_for(samples)] == ["counting", "gui_point", "cells"]
    assert [task.name for task in tasks_for(samples, ["cells", "counting"])] == ["counting", "cells"]


def test_a_task_of_many_and_single_boxes_is_a_mean() -> None:
    one, many = Gold("box", [0, 0, 1, 1]), Gold("box", [[0, 0, 1, 1], [2, 2, 3, 3]])
    for golds in ([one, many, one], [many, one, one]):
        (task,) = tasks_for([question(str(i), "parts", gold) for i, gold in enumerate(golds)])
        assert not task.binary


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(
        UsageError, match=r"no sample of task 'countng'; tasks here are counting; did you mean 'counting'\?"
    ):
        tasks_for(counting(2), ["countng"])
