"""Intervals that know that questions about one picture are not independent.

- proportions: Wilson (1927), "Probable inference, the law of succession, and statistical inference", with the effective
  sample size of a clustered survey (Kish 1965; Dean & Pagano 2015, "Evaluating confidence interval methods for binomial
  proportions in clustered surveys");
- means and ratios: percentile bootstrap over clusters (Efron & Tibshirani 1993, ch. 13; Davison & Hinkley 1997, §3.8);
- paired differences: the same bootstrap over the differences of the same questions (Miller 2024, "Adding error bars to
  evals", §3–4).

A cluster is what was drawn independently: the scene or photo, not the question about it. All intervals are 95 % unless
told otherwise and the same for the same seed.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

__all__ = [
    "Estimate",
    "bootstrap_mean",
    "bootstrap_mean_of_groups",
    "clustered_proportion",
    "wilson_interval",
]

RESAMPLES = 2000
CHUNK_ELEMENTS = 4_000_000
"""Resamples are drawn in chunks of about this many numbers, to bound memory."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval, of ``n`` observations in ``clusters`` clusters."""

    value: float
    low: float
    high: float
    n: int
    clusters: int

    @property
    def interval(self) -> tuple[float, float]:
        """(low, high)."""
        return self.low, self.high


def wilson_interval(proportion: float, n: float, *, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of a proportion; ``n`` may be an effective, fractional sample size. (0, 1) for n = 0."""
    if n <= 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    centre = proportion + z * z / (2 * n)
    spread = z * math.sqrt(proportion * (1 - proportion) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low, high = (centre - spread) / scale, (centre + spread) / scale
    # rounding must not push the interval off a proportion of 0 or 1
    return max(0.0, min(low, proportion)), min(1.0, max(high, proportion))


def clustered_proportion(
    values: Sequence[float], clusters: Sequence[Hashable], *, confidence: float = 0.95
) -> Estimate:
    """Mean of zeros and ones with a Wilson interval at the effective sample size.

    The effective size is n over the design effect (variance between clusters over binomial variance, at least 1),
    scaled from the normal to Student's t with clusters − 1 degrees of freedom. Without clusters (each its own) it is n;
    where all values agree the design effect cannot be seen and the number of clusters is taken.
    """
    y, index, num_clusters = _indexed(values, clusters)
    n = len(y)
    if n == 0:
        return Estimate(0.0, 0.0, 1.0, 0, 0)
    p = float(y.mean())
    effective = float(n)
    if num_clusters < n:
        effective = float(num_clusters)
        if 0 < p < 1 and num_clusters > 1:
            residual = np.bincount(index, weights=y - p, minlength=num_clusters)
            variance = num_clusters / (num_clusters - 1) * float(residual @ residual) / n**2
            effective = n / max(1.0, variance / (p * (1 - p) / n))
            z = NormalDist().inv_cdf(0.5 + confidence / 2)
            effective *= (z / float(stdtrit(num_clusters - 1, 0.5 + confidence / 2))) ** 2
    low, high = wilson_interval(p, effective, confidence=confidence)
    return Estimate(p, low, high, n, num_clusters)


def bootstrap_mean(
    values: Sequence[float],
    clusters: Sequence[Hashable],
    *,
    weights: Sequence[float] | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
    seed: int = 0,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
) -> Estimate:
    """Weighted mean with a percentile interval from resampling whole clusters.

    Args:
        values: one for each observation; for a paired comparison, after − before of the same question.
        clusters: what each observation belongs to.
        weights: how much each counts, e.g. the number of gold boxes of a picture for a recall over boxes.
        bounds: the range a mean can have; returned as the interval when there are fewer than two clusters, since one
            cluster says nothing about the spread.
        seed: of the resampling.
        resamples: how many.
        confidence: of the interval.
    """
    return bootstrap_mean_of_groups(
        values,
        ["all"] * len(values),
        clusters,
        weights=weights,
        bounds=bounds,
        seed=seed,
        resamples=resamples,
        confidence=confidence,
    )


def bootstrap_mean_of_groups(
    values: Sequence[float],
    groups: Sequence[Hashable],
    clusters: Sequence[Hashable],
    *,
    weights: Sequence[float] | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
    seed: int = 0,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
) -> Estimate:
    """Mean over groups (tasks) of their weighted means, each group counting alike, resampled by cluster.

    A cluster may reach over groups: one picture with questions of several tasks is drawn once for all of them.
    Arguments as in ``bootstrap_mean``.
    """
    y, cluster, num_clusters = _indexed(values, clusters)
    _, group, num_groups = _indexed(values, groups)
    if len(y) == 0:
        return Estimate(0.0, *bounds, 0, 0)
    w = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)
    cell = cluster * num_groups + group
    shape = (num_clusters, num_groups)
    sums = np.bincount(cell, weights=w * y, minlength=num_clusters * num_groups).reshape(shape)
    sizes = np.bincount(cell, weights=w, minlength=num_clusters * num_groups).reshape(shape)
    value = float(_mean_of_groups(sums.sum(0, keepdims=True), sizes.sum(0, keepdims=True))[0])
    if num_clusters < 2:
        return Estimate(value, *bounds, len(y), num_clusters)
    rng = np.random.default_rng(seed)
    chunk = max(1, CHUNK_ELEMENTS // num_clusters)
    means = []
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        draws = rng.multinomial(num_clusters, np.full(num_clusters, 1 / num_clusters), size=size).astype(np.float64)
        means.append(_mean_of_groups(draws @ sums, draws @ sizes))
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(np.concatenate(means), [tail, 1 - tail])
    return Estimate(value, min(float(low), value), max(float(high), value), len(y), num_clusters)


def _mean_of_groups(sums: Floats, sizes: Floats) -> Floats:
    """Rows of group sums and sizes → mean over the groups that are there; a resample may miss a small group."""
    present = sizes > 0
    means = np.divide(sums, sizes, out=np.zeros_like(sums), where=present)
    num_present = present.sum(axis=1)
    result: Floats = np.where(num_present > 0, means.sum(axis=1) / np.maximum(num_present, 1), np.nan)
    return result


def _indexed(values: Sequence[float], keys: Sequence[Hashable]) -> tuple[Floats, npt.NDArray[np.int64], int]:
    """Values as an array, and for each the number of its key in order of appearance."""
    if len(values) != len(keys):
        raise ValueError(f"{len(values)} values but {len(keys)} clusters or groups; give one for each value")
    numbers: dict[Hashable, int] = {}
    index = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
    return np.asarray(values, dtype=np.float64), index, len(numbers)
