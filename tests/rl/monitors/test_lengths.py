from __future__ import annotations

import random

from mimovl.rl.monitors.config import LengthConfig
from mimovl.rl.monitors.lengths import LengthMonitor
from tests.rl.monitors.making import group, resumed, shown


def run(lengths: list[float], *, noise: float = 0.3, cut: bool = False):
    rng = random.Random(0)

    def drawn(length: float) -> list[int]:
        return [max(1, round(length * rng.uniform(1 - noise, 1 + noise))) for _ in range(8)]

    return [[group(["x"] * 8, lengths=drawn(length), cut=cut) for _ in range(2)] for length in lengths]


def monitor(state=None) -> LengthMonitor:
    return LengthMonitor(LengthConfig(), 4, state)


def test_answers_that_run_away_are_found_and_the_longest_shown_first() -> None:
    said = shown(monitor(), run([20] * 6 + [90] * 6))
    assert not any(said[:6])
    [alert] = said[-1]
    assert (alert.monitor, alert.task) == ("lengths", "counting") and "they run away" in alert.message
    assert alert.value > alert.limit
    sizes = [sum(len(one.completion.tokens) for one in one_group.rollouts) for one_group in alert.groups]
    assert sizes == sorted(sizes, reverse=True)


def test_answers_that_collapse_are_found() -> None:
    [alert] = shown(monitor(), run([80] * 6 + [5] * 6))[-1]
    assert "they collapse" in alert.message and alert.value < alert.limit


def test_answers_that_run_against_the_limit_are_found() -> None:
    [alert] = shown(monitor(), run([20] * 6, cut=True))[-1]
    assert "100% of the answers are cut" in alert.message


def test_lengths_that_grow_slowly_or_are_short_anyway_are_healthy() -> None:
    """Half as long again over a training is learning; 4 tokens for 1 are a word."""
    assert not any(shown(monitor(), run([20 + n for n in range(12)])))
    assert not any(shown(monitor(), run([2] * 6 + [8] * 6)))


def test_each_task_is_compared_with_itself() -> None:
    both = [a + [group(["x"] * 8, task="arithmetic", lengths=[200] * 8)] for a in run([20] * 12)]
    assert not any(shown(monitor(), both))


def test_it_goes_on_where_it_stood() -> None:
    updates = run([20] * 6 + [90] * 6)
    assert resumed(monitor, updates, 5) == shown(monitor(), updates)
