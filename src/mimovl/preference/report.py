"""What a reward model is worth on held-out pairs: accuracy, calibration, taste for length, each with a 95 % interval.

- accuracy: the share of pairs, ties apart, whose better answer has the higher reward; beside it, always choosing the
  longer answer, and the paired difference of the two.
- calibration: expected calibration error (Naeini et al., 2015; ten bins of equal width) of the probability with which
  the higher-rewarded answer is said to win, before and after the fitted temperature, with the reliability table.
- length: accuracy where the better answer is the longer one less accuracy where it is the shorter one, which is 0 for a
  model without a taste for length whatever the pairs; in ties, how often the longer answer is scored higher.

Pairs about one scene or prompt are not independent: intervals resample what was drawn (``Judged.cluster``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mimovl.errors import DataError
from mimovl.evaluate.statistics import (
    CHUNK_ELEMENTS,
    RESAMPLES,
    Estimate,
    bootstrap_mean,
    bootstrap_mean_of_groups,
    clustered_proportion,
    wilson_interval,
)

__all__ = ["BINS", "Judged", "calibration_error", "report_text", "reward_report"]

BINS = 10
"""Of the probability of the higher-rewarded answer, from 0.5 to 1."""

Floats = npt.NDArray[np.float64]
WinProbability = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Judged:
    """A held-out pair and what the model made of it."""

    id: str
    source: str
    set: str
    """A part of the held-out pairs that is reported apart, e.g. those in which the wrong answer is the longer one."""
    cluster: str
    """What was drawn independently: the scene or the prompt."""
    tie: bool
    first: float
    """Reward of the better answer; in a tie of either."""
    second: float
    first_length: int
    """Of that answer, in characters."""
    second_length: int

    @property
    def right(self) -> float:
        """1 where the better answer has the higher reward."""
        return float(self.first > self.second)

    @property
    def longer(self) -> float:
        """What always choosing the longer answer gets: 1, 0, or ½ where both are as long."""
        return _higher(self.first_length, self.second_length)


def reward_report(judged: Sequence[Judged], win_probability: WinProbability, *, seed: int = 0) -> dict[str, Any]:
    """Everything measured, as plain numbers for a JSON file; an interval is [low, high].

    Args:
        judged: held-out pairs.
        win_probability: the fitted map of reward differences to probabilities.
        seed: of the resampling.

    Raises:
        DataError: there is no pair that is not a tie.
    """
    decided = [one for one in judged if not one.tie]
    ties = [one for one in judged if one.tie]
    if not decided:
        raise DataError(f"{len(judged)} held-out pairs, all of them ties: accuracy needs pairs with a better answer")
    clusters = [one.cluster for one in decided]
    gain = bootstrap_mean([one.right - one.longer for one in decided], clusters, bounds=(-1, 1), seed=seed)
    report: dict[str, Any] = {
        "pairs": len(decided),
        "ties": len(ties),
        **_accuracy(decided, seed),
        "gain_over_longer": _as_json(gain),
        "by_set": {
            name: _accuracy([one for one in decided if one.set == name], seed) for name in _names(decided, "set")
        },
        "by_source": {
            name: _accuracy([one for one in decided if one.source == name], seed) for name in _names(decided, "source")
        },
        "calibration": _calibration(decided, win_probability, seed),
        "length": _length(decided, ties, seed),
    }
    return report


def _accuracy(judged: Sequence[Judged], seed: int) -> dict[str, Any]:
    clusters = [one.cluster for one in judged]
    return {
        "accuracy": _as_json(clustered_proportion([one.right for one in judged], clusters)),
        "always_longer": _as_json(bootstrap_mean([one.longer for one in judged], clusters, seed=seed)),
    }


def _calibration(judged: Sequence[Judged], win_probability: WinProbability, seed: int) -> dict[str, Any]:
    difference = np.array([one.first - one.second for one in judged])
    clusters = [one.cluster for one in judged]
    raw = 1 / (1 + np.exp(-np.clip(difference, -700, 700)))
    fitted = win_probability(difference)
    right = (difference > 0).astype(np.float64)
    table = []
    sure = np.maximum(fitted, 1 - fitted)
    for number in range(BINS):
        inside = _bins(sure) == number
        count = int(inside.sum())
        if count:
            low, high = wilson_interval(float(right[inside].mean()), count)
            table.append(
                {
                    "said": round(float(sure[inside].mean()), 4),
                    "was": round(float(right[inside].mean()), 4),
                    "interval": [round(low, 4), round(high, 4)],
                    "pairs": count,
                }
            )
    return {
        "expected_calibration_error": _as_json(calibration_error(fitted, right, clusters, seed=seed)),
        "before_fitting": _as_json(calibration_error(raw, right, clusters, seed=seed)),
        "log_loss": _as_json(
            bootstrap_mean((-np.log(np.clip(fitted, 1e-12, 1))).tolist(), clusters, bounds=(0, np.inf), seed=seed)
        ),
        "reliability": table,
    }


def calibration_error(win: Floats, right: Floats, clusters: Sequence[str], *, seed: int = 0) -> Estimate:
    """Expected calibration error of the higher-rewarded answer, its interval by resampling clusters.

    A resample is a little worse calibrated than the sample, so the interval leans upwards; it is the cautious side.

    Args:
        win: probability that the better answer wins.
        right: 1 where the better answer has the higher reward.
        clusters: what each pair belongs to.
        seed: of the resampling.
    """
    sure = np.maximum(win, 1 - win)
    numbers: dict[str, int] = {}
    cluster = np.array([numbers.setdefault(key, len(numbers)) for key in clusters])
    gaps = np.zeros((len(numbers), BINS))
    np.add.at(gaps, (cluster, _bins(sure)), right - sure)
    sizes = np.bincount(cluster, minlength=len(numbers)).astype(np.float64)
    value = float(np.abs(gaps.sum(0)).sum() / len(sure))
    if len(numbers) < 2:
        return Estimate(value, 0.0, 1.0, len(sure), len(numbers))
    rng, even, errors = np.random.default_rng(seed), np.full(len(numbers), 1 / len(numbers)), []
    chunk = max(1, CHUNK_ELEMENTS // len(numbers))
    for start in range(0, RESAMPLES, chunk):
        draws = rng.multinomial(len(numbers), even, size=min(chunk, RESAMPLES - start)).astype(np.float64)
        errors.append(np.abs(draws @ gaps).sum(1) / (draws @ sizes))
    low, high = np.quantile(np.concatenate(errors), [0.025, 0.975])
    return Estimate(value, min(float(low), value), max(float(high), value), len(sure), len(numbers))


def _length(decided: Sequence[Judged], ties: Sequence[Judged], seed: int) -> dict[str, Any]:
    unequal = [one for one in decided if one.first_length != one.second_length]
    tied = [one for one in ties if one.first_length != one.second_length]
    longer = [_higher(*_by_length(one)) for one in tied]
    shares = {
        "better_is_longer": [one for one in unequal if one.longer == 1],
        "better_is_shorter": [one for one in unequal if one.longer == 0],
    }
    return {
        "taste_for_length": _as_json(_taste(unequal, seed)),
        "longer_wins_ties": _as_json(bootstrap_mean(longer, [one.cluster for one in tied], seed=seed)),
        **{
            f"accuracy_{name}": _as_json(
                clustered_proportion([one.right for one in some], [one.cluster for one in some])
            )
            for name, some in shares.items()
        },
    }


def _taste(unequal: Sequence[Judged], seed: int) -> Estimate:
    """Accuracy where the better answer is the longer one, less accuracy where it is the shorter one."""
    if len({one.longer for one in unequal}) < 2:
        return Estimate(0.0, -1.0, 1.0, 0, 0)
    halves = bootstrap_mean_of_groups(
        [one.right if one.longer else -one.right for one in unequal],
        [one.longer for one in unequal],
        [one.cluster for one in unequal],
        bounds=(-0.5, 0.5),
        seed=seed,
    )
    return Estimate(2 * halves.value, 2 * halves.low, 2 * halves.high, halves.n, halves.clusters)


def _by_length(one: Judged) -> tuple[float, float]:
    """Rewards of the longer and of the shorter answer."""
    return (one.first, one.second) if one.first_length > one.second_length else (one.second, one.first)


def _higher(one: float, other: float) -> float:
    return 0.5 if one == other else float(one > other)


def _bins(sure: Floats) -> npt.NDArray[np.int64]:
    found: npt.NDArray[np.int64] = np.minimum((np.asarray(sure) - 0.5) * 2 * BINS, BINS - 1).astype(np.int64)
    return found


def _names(judged: Sequence[Judged], field: str) -> list[str]:
    return sorted({str(getattr(one, field)) for one in judged})


def _as_json(estimate: Estimate) -> dict[str, Any]:
    low, high = (None if not np.isfinite(side) else round(side, 4) for side in estimate.interval)
    return {"value": round(estimate.value, 4), "interval": [low, high], "n": estimate.n, "clusters": estimate.clusters}


def report_text(report: dict[str, Any]) -> str:
    """The report as lines for a terminal."""
    lines = [f"{'held-out pairs':<30} {report['pairs']} and {report['ties']} ties"]

    def line(name: str, found: dict[str, Any]) -> None:
        low, high = found["interval"]
        if found["n"]:
            lines.append(f"{name:<30} {found['value']:7.3f}  [{low:.3f}, {high:.3f}]  n={found['n']}")

    line("accuracy", report["accuracy"])
    line("always the longer answer", report["always_longer"])
    line("gain over the longer answer", report["gain_over_longer"])
    for part in ("by_set", "by_source"):
        for name, found in report[part].items():
            if len(report[part]) > 1:
                line(f"  {name}", found["accuracy"])
    calibration, length = report["calibration"], report["length"]
    line("calibration error (ECE)", calibration["expected_calibration_error"])
    line("  before the temperature", calibration["before_fitting"])
    for row in calibration["reliability"]:
        low, high = row["interval"]
        lines.append(
            f"{'  said ' + format(row['said'], '.3f'):<30} {row['was']:7.3f}  [{low:.3f}, {high:.3f}]  n={row['pairs']}"
        )
    line("taste for length", length["taste_for_length"])
    line("  right where longer is better", length["accuracy_better_is_longer"])
    line("  right where shorter is better", length["accuracy_better_is_shorter"])
    line("  the longer wins a tie", length["longer_wins_ties"])
    return "\n".join(lines)
