from __future__ import annotations

import numpy as np
import pytest

from experiments.intervals import interval


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
