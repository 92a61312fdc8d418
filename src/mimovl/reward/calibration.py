"""From rewards, which only compare, to scores in [0, 1]: a temperature and a centre, fitted on held-out pairs.

    score(x) = σ((r(x) − c) / T)

T makes probabilities true: on pairs the model was not trained on, σ((r_A − r_B) / T) is how often A was preferred
(temperature scaling, Guo et al., 2017; the target is Platt's (1999) smoothed (n + 1) / (n + 2), so that a model that
errs on no pair gets a finite T). c puts the average answer of those pairs at 0.5: the mean of their scores. So, under
Bradley–Terry, a score is the probability of beating an answer of average worth. MiMo-VL normalises all rewards to
[0, 1] (§3.3) and does not say how; this is ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq, minimize_scalar
from scipy.special import expit, log_expit

from mimovl.errors import DataError

__all__ = ["Calibration", "fit_calibration"]

Floats = npt.NDArray[np.float64]
_WIDEST = 12.0
"""Temperatures and ties are looked for within e^±12."""


@dataclass(frozen=True)
class Calibration:
    """The fitted map of a reward model."""

    temperature: float = 1.0
    centre: float = 0.0
    tie: float = 0.0
    """Davidson's ν at this temperature: how often equals are called a tie; 0 where ties have no likelihood."""
    pairs: int = 0
    """Pairs it was fitted on, ties among them."""

    def scores(self, rewards: Sequence[float] | Floats) -> Floats:
        """Rewards to scores in [0, 1]."""
        scores: Floats = expit((np.asarray(rewards, dtype=np.float64) - self.centre) / self.temperature)
        return scores

    def win_probability(self, differences: Sequence[float] | Floats) -> Floats:
        """How often the first of two answers is preferred, given that one is; of reward differences."""
        wins: Floats = expit(np.asarray(differences, dtype=np.float64) / self.temperature)
        return wins


def fit_calibration(first: Sequence[float], second: Sequence[float], ties: Sequence[bool]) -> Calibration:
    """Fit on pairs the model was not trained on.

    Args:
        first: reward of the better answer of each pair; in a tie of either.
        second: reward of the other.
        ties: which pairs are ties.

    Raises:
        DataError: there is no pair that is not a tie, or a reward is not finite.
    """
    one, two, tie = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64), np.asarray(ties, bool)
    if not np.isfinite([one, two]).all():
        raise DataError("a reward is not a finite number: the training diverged; lower its learning rates")
    decided = (one - two)[~tie]
    if not decided.size:
        raise DataError(
            f"{tie.size} pairs to calibrate on, {int(tie.sum())} of them ties: a temperature needs pairs in which one "
            "answer is better"
        )
    target = (decided.size + 1) / (decided.size + 2)

    def of_decided(log_inverse: float) -> float:
        scaled = decided * math.exp(log_inverse)
        return -float(np.mean(target * log_expit(scaled) + (1 - target) * log_expit(-scaled)))

    inverse = math.exp(_least(of_decided))
    level = 0.0
    if tie.any():
        half = (one - two) * inverse / 2

        def of_ties(log_tie: float) -> float:
            whole = np.logaddexp(np.logaddexp(half, -half), log_tie)
            return float(np.mean(whole - np.where(tie, log_tie, half)))

        level = math.exp(_least(of_ties))
    both = np.concatenate([one, two])

    def average(centre: float) -> float:
        return float(expit((both - centre) * inverse).mean()) - 0.5

    low, high = float(both.min()) - 1e-6, float(both.max()) + 1e-6
    centre = float(brentq(average, low, high, xtol=1e-12))
    return Calibration(1.0 / inverse, centre, level, len(tie))


def _least(function: object) -> float:
    return float(minimize_scalar(function, bounds=(-_WIDEST, _WIDEST), method="bounded", options={"xatol": 1e-9}).x)
