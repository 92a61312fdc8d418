import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from mimovl.errors import DataError
from mimovl.reward.calibration import Calibration, fit_calibration


def drawn(temperature: float, count: int = 30_000, *, tie: float = 0.0, seed: int = 0):
    """Rewards of pairs whose outcomes follow Davidson's model at a temperature; the winner first."""
    rng = np.random.default_rng(seed)
    one, two = 1.5 + rng.normal(0, 2, count), 1.5 + rng.normal(0, 2, count)
    half = (one - two) / temperature / 2
    weights = np.stack([np.exp(half), np.exp(-half), np.full(count, tie)])
    outcome = (rng.random(count) > (weights / weights.sum(0)).cumsum(0)).sum(0)
    swap = outcome == 1
    return np.where(swap, two, one), np.where(swap, one, two), outcome == 2


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_it_finds_the_temperature_and_the_ties_that_outcomes_were_drawn_at(temperature: float) -> None:
    found = fit_calibration(*drawn(temperature, tie=0.5))
    assert found.temperature == pytest.approx(temperature, rel=0.06)
    assert found.tie == pytest.approx(0.5, rel=0.06)
    assert found.pairs == 30_000


def test_the_temperature_is_the_one_a_general_optimiser_finds() -> None:
    first, second, ties = drawn(2.0, 400)
    count = len(first)
    target = (count + 1) / (count + 2)

    def loss(x: np.ndarray) -> float:
        p = expit((first - second) * x[0])
        return float(-(target * np.log(p) + (1 - target) * np.log1p(-p)).mean())

    expected = minimize(loss, [1.0], method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-14}).x[0]
    assert 1 / fit_calibration(first, second, ties).temperature == pytest.approx(expected, rel=1e-4)


def test_the_average_answer_scores_one_half_and_scores_keep_order_and_bounds() -> None:
    first, second, ties = drawn(1.0, 500)
    found = fit_calibration(first, second, ties)
    rewards = np.concatenate([first, second])
    assert found.scores(rewards).mean() == pytest.approx(0.5, abs=1e-9)
    scores = found.scores(np.array([-1e9, -1.0, 0.0, 1.0, 1e9]))
    assert (np.diff(scores) > 0).all() and scores[0] == 0 and scores[-1] == 1


def test_scores_compare_as_the_pairs_do() -> None:
    """Under Bradley–Terry the odds of two scores give the odds of the pair, whatever the centre."""
    found = Calibration(temperature=2.0, centre=0.7)
    one, two = found.scores([1.3, -0.4])
    odds = (one / (1 - one)) / (two / (1 - two))
    assert odds / (1 + odds) == pytest.approx(float(found.win_probability([1.7])[0]))


def test_a_model_that_errs_on_no_pair_gets_a_finite_temperature() -> None:
    found = fit_calibration([1.0] * 50, [0.0] * 50, [False] * 50)
    assert 0.05 < found.temperature < 1
    assert float(found.win_probability([1.0])[0]) == pytest.approx(51 / 52, abs=1e-6)


def test_pairs_without_a_winner_and_rewards_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(DataError, match="2 pairs to calibrate on, 2 of them ties"):
        fit_calibration([1, 2], [2, 1], [True, True])
    with pytest.raises(DataError, match="a reward is not a finite number"):
        fit_calibration([float("nan")], [0], [False])
