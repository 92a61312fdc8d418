"""Answers → scores: for each task and mode the mean with its 95 % interval, tokens, outcomes; and the mean reward."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from mimovl.evaluate.answers import Answer
from mimovl.evaluate.extras import Extra
from mimovl.evaluate.statistics import (
    Estimate,
    bootstrap_mean,
    bootstrap_mean_of_groups,
    clustered_proportion,
)
from mimovl.evaluate.task import MODES, Task
from mimovl.types import Outcome

__all__ = ["headline_answers", "headline_mode", "mean_reward", "score_answers"]

DECIMALS = 6


def score_answers(answers: Iterable[Answer], tasks: Sequence[Task], *, seed: int = 0) -> dict[str, Any]:
    """Scores by task, in the order of ``tasks``; a task without answers is left out.

    Returns:
        ``{task: {"score", "interval", "n", "metric", "mode", "thinking": {…}, "no_think": {…}}}``; the outer score is
        that of the task's headline mode (of the other one if only that was asked). The mode entries also hold
        ``mean_tokens``, ``outcomes`` and, where the task has further measures, ``extra``.
    """
    answers = list(answers)
    scores: dict[str, Any] = {}
    for task in tasks:
        own = [answer for answer in answers if answer["task"] == task.name]
        modes: dict[str, list[Answer]] = {}
        for mode in MODES:
            if group := [answer for answer in own if answer["mode"] == mode]:
                modes[mode] = group
        if not modes:
            continue
        entries = {mode: _score_mode(group, task, seed) for mode, group in modes.items()}
        shown = headline_mode(task.headline, list(modes))
        headline = {name: entries[shown][name] for name in ("score", "interval", "n")}
        if "extra" in entries[shown]:
            headline["extra"] = entries[shown]["extra"]
        scores[task.name] = {**headline, "metric": task.metric, "mode": shown, **entries}
    return scores


def headline_mode(wanted: str, asked: Sequence[str]) -> str:
    """The mode that stands for a task among those that were asked."""
    return wanted if wanted in asked else asked[0]


def headline_answers(answers: Iterable[Answer], scores: dict[str, Any]) -> list[Answer]:
    """The answers in the headline mode of their task."""
    return [answer for answer in answers if scores.get(answer["task"], {}).get("mode") == answer["mode"]]


def mean_reward(answers: Sequence[Answer], *, seed: int = 0) -> dict[str, Any]:
    """Mean over tasks, each counting alike, of the mean reward of these answers."""
    estimate = bootstrap_mean_of_groups(
        [answer["reward"] for answer in answers],
        [answer["task"] for answer in answers],
        [answer["cluster"] for answer in answers],
        seed=seed,
    )
    return _entry(estimate)


def _score_mode(answers: list[Answer], task: Task, seed: int) -> dict[str, Any]:
    values = [answer["score"] for answer in answers]
    clusters = [answer["cluster"] for answer in answers]
    if task.binary and all(value in (0, 1) for value in values):
        estimate = clustered_proportion(values, clusters)
    else:
        estimate = bootstrap_mean(values, clusters, seed=seed)
    outcomes = Counter(answer["outcome"] for answer in answers)
    entry = {
        **_entry(estimate),
        "mean_tokens": round(sum(answer["tokens"] for answer in answers) / len(answers), 2),
        "outcomes": {str(outcome): outcomes[outcome] for outcome in Outcome if outcomes[outcome]},
    }
    extra = {measure.name: found for measure in task.extras if (found := _score_extra(answers, measure, seed))}
    return {**entry, "extra": extra} if extra else entry


def _score_extra(answers: list[Answer], measure: Extra, seed: int) -> dict[str, Any] | None:
    """A further measure over the answers that have it; None without any."""
    having = [(answer, answer["extra"][measure.name]) for answer in answers if measure.name in answer.get("extra", {})]
    if not having:
        return None
    estimate = bootstrap_mean(
        [value for _, (value, _) in having],
        [answer["cluster"] for answer, _ in having],
        weights=[weight for _, (_, weight) in having],
        bounds=measure.bounds,
        seed=seed,
    )
    return _entry(estimate)


def _entry(estimate: Estimate) -> dict[str, Any]:
    return {
        "score": round(estimate.value, DECIMALS),
        "interval": [round(estimate.low, DECIMALS), round(estimate.high, DECIMALS)],
        "n": estimate.n,
    }
