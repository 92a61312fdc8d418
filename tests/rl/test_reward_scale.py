from __future__ import annotations

import json
import random

import pytest
from scipy.stats import rankdata

from mimovl.rl import group_advantages
from mimovl.rl.reward_scale import RewardScale, ScaleName
from mimovl.types import RolloutGroup
from tests.rl.monitors.making import group

BINARY, CLOSE = [0.0, 1.0, 1.0, 0.0], [0.90, 0.91, 0.92, 0.93]


def applied(name: ScaleName, groups: list[RolloutGroup], state=None) -> list[list[float]]:
    RewardScale(name, state).apply(groups)
    return [[rollout.advantage for rollout in one.rollouts] for one in groups]


def made(*rewards: list[float], task: str = "counting") -> list[RolloutGroup]:
    return [group(["x"] * len(one), one, task=task) for one in rewards]


def test_none_leaves_rewards_as_loud_as_they_are() -> None:
    assert applied("none", made(BINARY, CLOSE)) == [
        pytest.approx([-0.5, 0.5, 0.5, -0.5]),
        pytest.approx([-0.015, -0.005, 0.005, 0.015]),
    ]


def test_task_makes_tasks_equally_loud_but_not_groups() -> None:
    """Within a task 0/1 stays louder than a hair's breadth; a task of graded rewards is as loud as one of 0 and 1."""
    binary, close = applied("task", made(BINARY, CLOSE))
    assert max(binary) > 10 * max(close)
    graded = made([0.4, 0.5, 0.5, 0.4], task="grounding")
    [alone], [other] = applied("task", made(BINARY)), applied("task", graded)
    assert alone == pytest.approx(other) and other == pytest.approx(group_advantages(BINARY))


def test_the_running_std_is_that_of_the_last_groups_that_taught_anything() -> None:
    scale = RewardScale("task")
    scale.apply(made(BINARY, [1.0] * 4, [0.0] * 4))
    late = made([0.4, 0.6, 0.6, 0.4])
    scale.apply(late)
    expected = ((1 / 3 + 0.04 / 3) / 2) ** 0.5
    assert late[0].rollouts[1].advantage == pytest.approx(0.1 / expected)


def test_quantile_takes_ranks_among_the_tasks_rewards_as_scipy_does() -> None:
    rewards = [[0.1, 0.9, 0.91, 0.92], [0.9, 0.9, 0.2, 0.93]]
    ranks = (rankdata([value for one in rewards for value in one]) - 0.5) / 8
    expected = [group_advantages(list(ranks[:4])), group_advantages(list(ranks[4:]))]
    assert applied("quantile", made(*rewards)) == [pytest.approx(one) for one in expected]


def test_quantile_does_not_care_for_the_shape_of_a_reward() -> None:
    rewards = [[0.1, 0.5, 0.6, 0.9], [0.3, 0.2, 0.8, 0.7]]
    bent = [[value**3 for value in one] for one in rewards]
    assert applied("quantile", made(*rewards)) == [pytest.approx(one) for one in applied("quantile", made(*bent))]


@pytest.mark.parametrize("name", ["none", "task", "quantile"])
def test_advantages_of_a_group_sum_to_zero_and_equal_rewards_teach_nothing(name: ScaleName) -> None:
    first, second = applied(name, made([0.2, 0.4, 0.9, 1.0], [0.5] * 4))
    assert sum(first) == pytest.approx(0, abs=1e-9) and first == sorted(first) and second == [0.0] * 4


@pytest.mark.parametrize("name", ["none", "task", "quantile"])
def test_rewards_stay_and_what_is_remembered_goes_through_json(name: ScaleName) -> None:
    whole = RewardScale(name)
    first, second = made(BINARY, CLOSE), made([0.3, 0.7, 0.1, 0.2])
    whole.apply(first)
    again = RewardScale(name, json.loads(json.dumps(whole.state_dict())))
    assert [rollout.reward for rollout in first[1].rollouts] == CLOSE
    whole.apply(second)
    expected = [rollout.advantage for rollout in second[0].rollouts]
    again.apply(second)
    assert [rollout.advantage for rollout in second[0].rollouts] == expected


def test_quantile_ranks_a_reward_among_all_of_its_update_however_many() -> None:
    """More rollouts of a task than are remembered: the first group's ranks are those among all, and it teaches."""
    rng = random.Random(0)
    rewards = [[0.3] * 4 + [0.7] * 4, *([rng.choice((0.0, 1.0)) for _ in range(8)] for _ in range(159))]
    ranks = (rankdata([value for one in rewards for value in one]) - 0.5) / 1280
    groups = made(*rewards)
    scale = RewardScale("quantile")
    scale.apply(groups)
    assert [one.advantage for one in groups[0].rollouts] == pytest.approx(group_advantages(list(ranks[:8])))
    assert len(scale.state_dict()["counting"]) == 1024
