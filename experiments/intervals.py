"""Means with 95 % intervals: over seeds and questions by resampling both, over seeds alone by Student's t.

A score is a table, seeds × questions. Each of 2,000 resamples draws seeds with replacement and questions with
replacement and takes the mean; the interval is the middle 95 % of them. With three seeds the part that seeds have in it
is underestimated (ten combinations only), so figures also show every seed by itself.

Where a seed has one number only, resampling a handful of seeds gives no more than their range; Student's t gives what a
normal spread of seeds implies: with three, 4.3 standard errors to each side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """A mean, its 95 % interval, and the mean of each seed; where there is no interval, its ends are the mean."""

    value: float
    low: float
    high: float
    seeds: tuple[float, ...]

    def json(self) -> dict[str, Any]:
        """For the file of results; ``interval`` is null where there is none."""
        known = len(self.seeds) > 1 or self.high > self.low
        return {
            "value": self.value,
            "interval": [self.low, self.high] if known else None,
            "seeds": list(self.seeds),
        }


def interval(table: Any, *, seed: int = 0) -> Interval:
    """The mean of a table of shape (seeds, questions) with its interval."""
    values: npt.NDArray[np.float64] = np.asarray(table, dtype=np.float64)
    if values.ndim != 2 or not values.size:
        raise ValueError(f"scores have shape {values.shape}; give a table of seeds × questions")
    rng = np.random.default_rng(seed)
    num_seeds, num_questions = values.shape
    # How often each seed and each question is in a resample, instead of the resample itself.
    seeds = rng.multinomial(num_seeds, [1 / num_seeds] * num_seeds, size=RESAMPLES)
    questions = rng.multinomial(num_questions, [1 / num_questions] * num_questions, size=RESAMPLES)
    means = ((seeds @ values) * questions).sum(1) / (num_seeds * num_questions)
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(values.mean()), float(low), float(high), tuple(map(float, values.mean(1))))


def over_seeds(values: Sequence[float]) -> Interval:
    """The mean of one number a seed, with the 95 % t interval; one seed has none."""
    if not len(values):
        raise ValueError("no seed has a value; give one a seed")
    numbers = np.asarray(values, dtype=np.float64)
    mean, half = float(numbers.mean()), 0.0
    if len(numbers) > 1:
        half = float(stats.t.ppf(0.975, len(numbers) - 1) * numbers.std(ddof=1) / len(numbers) ** 0.5)
    return Interval(mean, mean - half, mean + half, tuple(map(float, numbers)))
