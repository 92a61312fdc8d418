from __future__ import annotations

import math
import random

from mimovl.rl.monitors.alert import Update
from mimovl.rl.monitors.config import EntropyConfig, GapConfig
from mimovl.rl.monitors.health import EntropyMonitor, GapMonitor


def entropies(monitor: EntropyMonitor, values: list[float]):
    return [monitor.look(Update(number, [], {"entropy": value})) for number, value in enumerate(values, start=1)]


def test_an_entropy_that_collapses_is_found() -> None:
    falling = [0.5 * 0.8**n for n in range(30)]
    said = entropies(EntropyMonitor(EntropyConfig(), 4), falling)
    [alert] = said[-1]
    assert alert.monitor == "entropy" and "the policy has collapsed" in alert.message and not any(said[:6])


def test_an_entropy_of_nothing_from_the_start_is_found_too() -> None:
    assert entropies(EntropyMonitor(EntropyConfig(), 4), [0.001] * 5)[-1]


def test_an_entropy_that_wavers_and_halves_is_healthy() -> None:
    rng = random.Random(0)
    values = [0.2 * (1 - n / 200) * rng.uniform(0.6, 1.5) for n in range(100)]
    assert not any(entropies(EntropyMonitor(EntropyConfig(), 4), values))


def test_the_first_entropies_are_remembered() -> None:
    values = [0.5] * 4 + [0.05] * 6
    whole = entropies(EntropyMonitor(EntropyConfig(), 4), values)
    first = EntropyMonitor(EntropyConfig(), 4)
    found = entropies(first, values[:5])
    second = EntropyMonitor(EntropyConfig(), 4, first.state_dict())
    assert found + entropies(second, values[5:]) == whole and whole[-1] and not whole[4]


def gap(value: float, dtype: str = "float32", limit: float | None = None):
    return GapMonitor(GapConfig(limit=limit), dtype).look(Update(1, [], {"logprob_gap": value}))


def test_a_gap_over_what_the_numbers_can_hold_is_found() -> None:
    [alert] = gap(3e-4)
    assert alert.monitor == "gap" and "over 1e-05" in alert.message
    assert gap(8e-3, "bfloat16") and gap(math.nan) and gap(2e-6, limit=1e-6)


def test_rounding_is_healthy() -> None:
    assert not gap(3e-7) and not gap(2e-3, "bfloat16") and not gap(3e-4, limit=1e-3)


def test_an_entropy_that_is_no_number_is_passed_over() -> None:
    values = [2.0, 2.0, math.nan, 2.0, 2.0, *[2.0] * 6, *[0.1] * 6]
    said = entropies(EntropyMonitor(EntropyConfig(), 4), values)
    assert said[-1] and not any(said[:12])
    resumed = EntropyMonitor(EntropyConfig(), 4, {"first": [2.0, math.nan, 2.0, 2.0], "last": [math.inf, 0.1, 0.1]})
    assert entropies(resumed, [0.1, 0.1])[-1]
