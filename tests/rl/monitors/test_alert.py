from __future__ import annotations

from mimovl.rl.monitors.alert import Recent, by_task, mean
from tests.rl.monitors.making import group


def test_recent_keeps_the_last_values_of_each_name() -> None:
    recent = Recent(3, {"a": [1, 2]})
    assert recent.add("a", 3, 4) == [2, 3, 4] and recent.full("a")
    assert recent.add("b", 1) == [1] and not recent.full("b") and not recent.full("c")


def test_tasks_come_in_order_with_all_their_rollouts() -> None:
    groups = [group(["a", "b"], task="z"), group(["c"], task="a"), group(["d"], task="z")]
    found = [(task, len(own), [one.completion.text for one in rollouts]) for task, own, rollouts in by_task(groups)]
    assert found == [("a", 1, ["c"]), ("z", 2, ["a", "b", "d"])]


def test_the_mean_of_nothing_is_zero() -> None:
    assert mean([]) == 0 and mean([1.0, 2.0]) == 1.5
