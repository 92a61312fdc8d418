from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from experiments.intervals import interval, over_seeds


def test_the_interval_holds_the_true_mean_about_as_often_as_it_says() -> None:
    """Many seeds and questions, no effect of the seed: 95 % of 100 intervals, give or take three deviations."""
    rng = np.random.default_rng(0)
    held = 0
    for trial in range(100):
        found = interval(rng.normal(0.5, 0.2, (8, 40)), seed=trial)
        held += found.low <= 0.5 <= found.high
    assert held >= 88


def test_a_seed_that_differs_widens_it() -> None:
    rng = np.random.default_rng(0)
    questions = rng.normal(0.5, 0.1, 40)
    equal = interval([questions, questions, questions])
    apart = interval([questions - 0.2, questions, questions + 0.2])
    assert apart.high - apart.low > 2 * (equal.high - equal.low)
    assert apart.seeds == pytest.approx((questions.mean() - 0.2, questions.mean(), questions.mean() + 0.2))


def test_it_is_the_same_each_time_and_refuses_what_is_no_table() -> None:
    table = np.arange(12.0).reshape(3, 4)
    assert interval(table) == interval(table)
    for wrong in ([], [1.0, 2.0], [[]]):
        with pytest.raises(ValueError, match="seeds × questions"):
            interval(wrong)


def test_over_seeds_three_of_them_hold_the_true_mean_nineteen_times_of_twenty() -> None:
    """Their range would hold it three times of four."""
    rng = np.random.default_rng(0)
    drawn = [rng.normal(0.5, 0.02, 3) for _ in range(1000)]
    held = sum(one.low <= 0.5 <= one.high for one in map(over_seeds, drawn))
    assert 930 <= held <= 970  # 950, give or take three deviations
    assert sum(min(one) <= 0.5 <= max(one) for one in drawn) < 800


def test_over_seeds_is_the_t_interval_and_one_seed_has_none() -> None:
    found = over_seeds([0.50, 0.52, 0.56])
    low, high = stats.t.interval(0.95, 2, loc=found.value, scale=stats.sem([0.50, 0.52, 0.56]))
    assert (found.low, found.high) == pytest.approx((low, high)) and found.seeds == (0.50, 0.52, 0.56)
    assert over_seeds([0.5]).json() == {"value": 0.5, "interval": None, "seeds": [0.5]}
    assert over_seeds([0.5, 0.5]).json()["interval"] == [0.5, 0.5]
    with pytest.raises(ValueError, match="no seed"):
        over_seeds([])
