"""Two evaluations of the same questions: paired differences with 95 % intervals, e.g. MORL minus stage 4.

Answers are paired by (id, mode); only pairs count. The interval is a percentile bootstrap of the differences that
resamples whole clusters (scenes, photos), see ``statistics``. Pairing takes the difficulty of the questions out of the
comparison: two overlapping intervals of scores do not mean that there is no difference.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimovl.errors import DataError, UsageError
from mimovl.evaluate.answers import Answer, read_answers
from mimovl.evaluate.extras import MEAN_ABSOLUTE_ERROR, RECALL, Extra
from mimovl.evaluate.scoring import headline_mode
from mimovl.evaluate.statistics import Estimate, bootstrap_mean, bootstrap_mean_of_groups
from mimovl.evaluate.task import MODES
from mimovl.evaluate.tasks import WORLD_TASKS

__all__ = ["SAMPLED", "Comparison", "Difference", "TaskComparison", "compare_answers"]

Pair = tuple[Answer, Answer]

SAMPLED = "sampled"
"""Folder in that of an evaluation: the answers to the same questions when they are sampled instead of greedy."""


@dataclass(frozen=True, slots=True)
class Difference:
    """After minus before, of ``n`` pairs."""

    before: float
    after: float
    difference: float
    interval: tuple[float, float]
    n: int
    higher_is_better: bool = True

    @property
    def verdict(self) -> str:
        """Read the interval: better or worse when it leaves out 0, else no clear difference."""
        low, high = self.interval if self.higher_is_better else (-self.interval[1], -self.interval[0])
        return "better" if low > 0 else "worse" if high < 0 else "no clear difference"

    def to_dict(self) -> dict[str, Any]:
        """The fields and the verdict, ready for JSON."""
        return {
            "before": self.before,
            "after": self.after,
            "difference": self.difference,
            "interval": list(self.interval),
            "n": self.n,
            "verdict": self.verdict,
        }


@dataclass(frozen=True, slots=True)
class TaskComparison:
    """One task in one mode: its score, its reward, its further measures."""

    score: Difference
    reward: Difference
    extra: Mapping[str, Difference]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All tasks and modes that both evaluations hold."""

    tasks: Mapping[str, Mapping[str, TaskComparison]]
    """By task, then by mode."""
    modes: Mapping[str, str]
    """The headline mode of each task."""
    mean_reward: Difference
    """Mean over tasks, each counting alike, of the reward in the headline mode."""
    num_unpaired: int
    """Answers in one of the files only; they are not compared."""
    sampled_reward: Difference | None = None
    """The same over sampled answers in both modes, where both evaluations have them. Reinforcement learning maximises
    this one; a greedy answer can stay as it was while the policy gets surer of it."""
    temperature: float = 0.0
    """Of the sampled answers."""

    def headline(self) -> dict[str, TaskComparison]:
        """Each task in its headline mode."""
        return {task: modes[self.modes[task]] for task, modes in self.tasks.items()}

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "tasks": {
                task: {
                    mode: {
                        "score": one.score.to_dict(),
                        "reward": one.reward.to_dict(),
                        "extra": {name: difference.to_dict() for name, difference in one.extra.items()},
                    }
                    for mode, one in modes.items()
                }
                for task, modes in self.tasks.items()
            },
            "modes": dict(self.modes),
            "mean_reward": self.mean_reward.to_dict(),
            "num_unpaired": self.num_unpaired,
            "sampled_reward": self.sampled_reward.to_dict() if self.sampled_reward else None,
            "temperature": self.temperature,
        }


def compare_answers(before: Path | str, after: Path | str, *, seed: int = 0) -> Comparison:
    """Compare two evaluations.

    Args:
        before: an answers.jsonl, or the folder that holds it.
        after: the same, of the other checkpoint.
        seed: of the resampling.

    Raises:
        UsageError: a file is missing, or no question was answered in both.
        DataError: a score or reward is no finite number; names the question.
    """
    first = {(answer["id"], answer["mode"]): answer for answer in read_answers(_file(before))}
    second = {(answer["id"], answer["mode"]): answer for answer in read_answers(_file(after))}
    pairs = [(answer, second[key]) for key, answer in first.items() if key in second]
    if not pairs:
        raise UsageError(
            f"{_file(before)} and {_file(after)} have no question in common; evaluate both on the same set"
        )
    by_task: dict[str, dict[str, list[Pair]]] = {}
    for pair in pairs:
        by_task.setdefault(_task(pair), {}).setdefault(pair[1]["mode"], []).append(pair)
    order = [task.name for task in WORLD_TASKS if task.name in by_task]
    order += [name for name in by_task if name not in order]
    wanted = _headline_modes(_file(after))
    modes = {
        name: headline_mode(wanted.get(name, ""), [mode for mode in MODES if mode in by_task[name]]) for name in order
    }
    headline = [pair for name in order for pair in by_task[name][modes[name]]]
    return Comparison(
        tasks={name: {mode: _compare_task(by_task[name][mode], seed) for mode in by_task[name]} for name in order},
        modes=modes,
        mean_reward=_compare(headline, _reward, seed, over_tasks=True),
        num_unpaired=len(first) + len(second) - 2 * len(pairs),
        sampled_reward=_compare_sampled(_file(before).parent / SAMPLED, _file(after).parent / SAMPLED, seed),
        temperature=_temperature(_file(after).parent / SAMPLED),
    )


def _compare_sampled(before: Path, after: Path, seed: int) -> Difference | None:
    """Mean over tasks of the reward of sampled answers, in all modes; None without such answers to the same questions.

    Raises:
        UsageError: they were sampled at different temperatures.
    """
    if not (_file(before).is_file() and _file(after).is_file()):
        return None
    if _temperature(before) != _temperature(after):
        raise UsageError(
            f"{before} was sampled at temperature {_temperature(before):g}, {after} at {_temperature(after):g}; "
            "evaluate both at the same"
        )
    first = {(answer["id"], answer["mode"]): answer for answer in read_answers(_file(before))}
    second = {(answer["id"], answer["mode"]): answer for answer in read_answers(_file(after))}
    pairs = [(answer, second[key]) for key, answer in first.items() if key in second]
    return _compare(pairs, _reward, seed, over_tasks=True) if pairs else None


def _temperature(folder: Path) -> float:
    try:
        return float(json.loads((folder / "summary.json").read_bytes())["temperature"])
    except (OSError, ValueError, TypeError, KeyError):
        return 0.0


def _file(path: Path | str) -> Path:
    path = Path(path)
    return path / "answers.jsonl" if path.is_dir() else path


def _headline_modes(answers: Path) -> dict[str, str]:
    """The headline mode of each task by the scores.json beside the answers, else by the known tasks."""
    modes: dict[str, str] = {task.name: task.headline for task in WORLD_TASKS}
    try:
        scores = json.loads(answers.with_name("scores.json").read_bytes())
        modes.update({task: entry["mode"] for task, entry in scores.items()})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return modes
    return modes


def _compare_task(pairs: list[Pair], seed: int) -> TaskComparison:
    extra = {}
    for measure in (MEAN_ABSOLUTE_ERROR, RECALL):
        having = [pair for pair in pairs if all(measure.name in answer.get("extra", {}) for answer in pair)]
        if having:
            extra[measure.name] = _compare_extra(having, measure, seed)
    return TaskComparison(_compare(pairs, _score, seed), _compare(pairs, _reward, seed), extra)


def _task(pair: Pair) -> str:
    return str(pair[1]["task"])


def _score(answer: Answer) -> float:
    return _number(answer, answer["score"], "score")


def _reward(answer: Answer) -> float:
    return _number(answer, answer["reward"], "reward")


def _number(answer: Answer, value: Any, name: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError(
            f"answers.jsonl: {name} of {str(answer['id'])[:80]!r} is {str(value)[:40]!r}, which is no finite number; "
            "delete that line and evaluate again"
        )
    return number


def _compare(pairs: list[Pair], value: Callable[[Answer], float], seed: int, *, over_tasks: bool = False) -> Difference:
    before, after = [value(pair[0]) for pair in pairs], [value(pair[1]) for pair in pairs]
    groups = [_task(pair) if over_tasks else "" for pair in pairs]
    clusters = [pair[1]["cluster"] for pair in pairs]

    def mean(values: list[float], resamples: int) -> Estimate:
        return bootstrap_mean_of_groups(values, groups, clusters, bounds=(-1.0, 1.0), seed=seed, resamples=resamples)

    change = mean([b - a for a, b in zip(before, after, strict=True)], 2000)
    return Difference(mean(before, 1).value, mean(after, 1).value, change.value, change.interval, len(pairs))


def _extra(answer: Answer, measure: Extra, place: int) -> float:
    try:
        value = answer["extra"][measure.name][place]
    except (TypeError, LookupError):
        value = None
    return _number(answer, value, measure.name)


def _compare_extra(pairs: list[Pair], measure: Extra, seed: int) -> Difference:
    before, after = ([_extra(answer, measure, 0) for answer in side] for side in zip(*pairs, strict=True))
    weights = [_extra(pair[1], measure, 1) for pair in pairs]
    clusters = [pair[1]["cluster"] for pair in pairs]
    widest = measure.bounds[1] - measure.bounds[0]

    def mean(values: list[float], resamples: int) -> Estimate:
        return bootstrap_mean(
            values, clusters, weights=weights, bounds=(-widest, widest), seed=seed, resamples=resamples
        )

    change = mean([b - a for a, b in zip(before, after, strict=True)], 2000)
    return Difference(
        mean(before, 1).value,
        mean(after, 1).value,
        change.value,
        change.interval,
        len(pairs),
        higher_is_better=measure.higher_is_better,
    )
