from __future__ import annotations

import random

from mimovl.rl.monitors.config import SpreadConfig
from mimovl.rl.monitors.spread import SpreadMonitor
from tests.rl.monitors.making import group, resumed, shown


def monitor(state=None) -> SpreadMonitor:
    return SpreadMonitor(SpreadConfig(least=12), state)


def run(rewards, updates: int = 4):
    return [[group(["x"] * 8, rewards(), id=str(n)) for n in range(4)] for _ in range(updates)]


def test_a_reward_that_says_the_same_of_everything_is_found() -> None:
    for value in (0.0, 0.5):
        said = shown(monitor(), run(lambda value=value: [value] * 8))
        assert not said[1]  # eight groups are too few
        [alert] = said[-1]
        assert alert.monitor == "spread" and "earn one reward whatever is said" in alert.message


def test_a_task_that_is_always_solved_is_said_to_be_spent() -> None:
    [alert] = shown(monitor(), run(lambda: [1.0] * 8))[-1]
    assert "always solved" in alert.message


def test_a_task_that_is_often_solved_and_sometimes_not_is_healthy() -> None:
    """Three of four prompts teach nothing, one does: dynamic sampling's daily bread."""
    rng = random.Random(0)
    mixed = lambda: rng.choice([[1.0] * 8, [1.0] * 8, [0.0] * 8, [0, 1, 1, 0, 1, 1, 1, 0]])  # noqa: E731
    assert not any(shown(monitor(), run(mixed, 12)))


def test_it_goes_on_where_it_stood() -> None:
    updates = run(lambda: [0.0] * 8)
    assert resumed(monitor, updates, 2) == shown(monitor(), updates)


def test_a_task_whose_prompts_are_either_always_or_never_solved_is_found() -> None:
    """Three quarters always, one quarter never: nothing is left to learn, though neither share is large."""
    rewards = iter([[1.0] * 8, [1.0] * 8, [1.0] * 8, [0.0] * 8] * 4)
    [alert] = shown(monitor(), run(lambda: next(rewards)))[-1]
    assert alert.kind == "both" and alert.value == 1.0 and "75% are always solved, 25% earn one reward" in alert.message


def test_groups_that_dynamic_sampling_drops_do_not_differ() -> None:
    updates = run(lambda: [0.5, 0.6] * 4)
    assert not any(shown(monitor(), updates))
    [alert] = shown(SpreadMonitor(SpreadConfig(least=12), min_spread=0.2), updates)[-1]
    assert alert.kind == "stuck"


def test_a_task_that_is_nearly_always_solved_is_judged_by_what_the_recipe_calls_spent() -> None:
    rewards = [[1.0] * 8] * 23 + [[0.0, 1.0] * 4]
    groups = [group(["x"] * 8, one, id=str(n)) for n, one in enumerate(rewards)]
    assert not any(shown(monitor(), [groups] * 2))
    [alert] = shown(SpreadMonitor(SpreadConfig(least=12, solved=0.9)), [groups])[-1]
    assert alert.kind == "solved"
