"""The scores a reader wants first: a sentence that says what the run showed, and a table with a row a task.

Two checkpoints are compared: reinforcement learning against the last stage before it, or, in a run without it,
the last checkpoint against the first. Scores and differences are computed by ``mimovl.evaluate``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mimovl.evaluate import Comparison, Difference
from mimovl.report.format import finite, fixed, integer, percent, plural, points
from mimovl.report.palette import in_order, lower_first, stage_title, task_class, task_name
from mimovl.report.run_directory import Checkpoint, Record, Run, mapping

__all__ = [
    "Mark",
    "ScoreRow",
    "ScoreTable",
    "checkpoint_label",
    "compared",
    "interval_text",
    "measure_text",
    "score_table",
    "verdict_class",
    "verdict_sentence",
]


@dataclass(frozen=True)
class Mark:
    """A dot with its interval on a horizontal axis, in per cent of its width.

    ``kind`` is ``before`` or ``after``: the upper, hollow one or the lower, filled one.
    """

    kind: str
    at: str
    low: str
    width: str


@dataclass(frozen=True)
class ScoreRow:
    """A row of the table."""

    name: str
    css: str
    detail: str
    total: bool
    was: str = ""
    was_interval: str = ""
    now: str = ""
    now_interval: str = ""
    marks: tuple[Mark, ...] = ()
    difference: str = ""
    difference_interval: str = ""
    verdict: str = ""


@dataclass(frozen=True)
class ScoreTable:
    """The headline table; ``before`` is empty where there is one checkpoint only."""

    before: str
    after: str
    rows: list[ScoreRow]


def checkpoint_label(name: str) -> str:
    """``5-morl`` → ``MORL``; ``4-long-context`` → ``Stage 4``; ``0-base`` → ``Base``."""
    number = name.split("-")[0]
    return stage_title(name) if "morl" in name or number in ("0", "00") or not number.isdigit() else f"Stage {number}"


def compared(run: Run) -> tuple[Checkpoint | None, Checkpoint | None]:
    """The checkpoints (before, after) to compare; before is None where only one has scores."""
    scored = [checkpoint for checkpoint in run.checkpoints if checkpoint.scores]
    if not scored:
        return None, None
    after = scored[-1]
    if len(scored) == 1:
        return None, after
    return (scored[-2] if "morl" in after.name else scored[0]), after


def _interval(record: Record) -> tuple[float, float] | None:
    value = record.get("interval")
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    low, high = finite(value[0]), finite(value[1])
    return None if low is None or high is None else (low, high)


def _interval_text(record: Record) -> str:
    interval = _interval(record)
    return f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}" if interval else ""


def _mark(kind: str, score: float | None, interval: tuple[float, float] | None) -> tuple[Mark, ...]:
    """On an axis from 0 to 1."""
    if score is None:
        return ()
    low, high = (min(max(end, 0.0), 1.0) for end in interval or (score, score))
    at = min(max(score, 0.0), 1.0)
    return (Mark(kind, f"{100 * at:.2f}", f"{100 * low:.2f}", f"{100 * max(high - low, 0.0):.2f}"),)


def score_table(before: Checkpoint | None, after: Checkpoint, comparison: Comparison | None) -> ScoreTable:
    """A row a task in its headline mode, the mean reward above them; greedy answers."""
    rows = []
    headline = comparison.headline() if comparison else {}
    was, now = mapping(before.summary.get("mean_reward")) if before else {}, mapping(after.summary.get("mean_reward"))
    if now:
        detail, change = "over all tasks, weighted equally", comparison.mean_reward if comparison else None
        if comparison and (sampled := comparison.sampled_reward):
            ends: tuple[Record, Record] = ({"score": sampled.before}, {"score": sampled.after})
            about = f"over all tasks and both modes, temperature {comparison.temperature:g}: what MORL maximises"
            rows.append(_row("Mean reward, sampled", "t-rl", about, *ends, sampled, total=True))
            detail += "; greedy, as all below"
        rows.append(_row("Mean reward", "t-rl", detail, was, now, change, total=True))
    for task in in_order(after.scores):
        now = mapping(after.scores.get(task))
        was = mapping(before.scores.get(task)) if before else {}
        words = [str(now.get("metric") or ""), _mode_words(now.get("mode")), f"n = {integer(now.get('n'))}"]
        words += [measure_text(name, mapping(one).get("score")) for name, one in mapping(now.get("extra")).items()]
        detail = ", ".join(word for word in words if word)
        change = headline[task].score if task in headline else None
        rows.append(_row(task_name(task), task_class(task), detail, was, now, change))
    return ScoreTable(checkpoint_label(before.name) if before else "", checkpoint_label(after.name), rows)


def measure_text(name: str, value: object) -> str:
    """A further measure with its name: ``recall@0.5 71.2 %``, ``mean absolute error 0.42``."""
    words = name.replace("_", " ")
    return f"{words} {fixed(value) if 'error' in name else percent(value)}"


def verdict_class(difference: Difference | None) -> str:
    """``better``, ``worse``, or ``none`` where the interval holds zero; empty without a difference."""
    if difference is None:
        return ""
    return difference.verdict if difference.verdict in ("better", "worse") else "none"


def _mode_words(mode: object) -> str:
    return {"thinking": "thinking", "no_think": "not thinking"}.get(str(mode), "")


def _row(
    name: str, css: str, detail: str, was: Record, now: Record, difference: Difference | None, *, total: bool = False
) -> ScoreRow:
    marks = _mark("before", finite(was.get("score")), _interval(was))
    marks += _mark("after", finite(now.get("score")), _interval(now))
    return ScoreRow(
        name=name,
        css=css,
        detail=detail,
        total=total,
        was=percent(was.get("score")),
        was_interval=_interval_text(was),
        now=percent(now.get("score")),
        now_interval=_interval_text(now),
        marks=marks,
        difference=points(difference.difference) if difference else "",
        difference_interval=interval_text(difference) if difference else "",
        verdict=verdict_class(difference),
    )


def interval_text(difference: Difference) -> str:
    """``+5.9 to +9.4``, percentage points."""
    return f"{points(difference.interval[0])} to {points(difference.interval[1])}"


def verdict_sentence(
    before: Checkpoint | None, after: Checkpoint | None, comparison: Comparison | None
) -> list[tuple[str, bool]]:
    """What the run showed, as (text, emphasised) pieces; empty before anything is scored."""
    if after is None:
        return []
    if before is None or comparison is None:
        reward = finite(mapping(after.summary.get("mean_reward")).get("score"))
        start = f"After {lower_first(checkpoint_label(after.name))} the mean reward on held-out questions is "
        return [] if reward is None else [(start, False), (percent(reward), True), (".", False)]
    mean = comparison.sampled_reward or comparison.mean_reward
    what = f"of answers sampled at temperature {comparison.temperature:g} to" if comparison.sampled_reward else "on"
    scores = "Greedy scores: " if comparison.sampled_reward else ""
    verb = {"better": "raised", "worse": "lowered", "none": "did not clearly change"}[verdict_class(mean)]
    change = f"{percent(mean.before)} → {percent(mean.after)}, "
    return [
        (f"{checkpoint_label(after.name)} ", False),
        (f"{verb} the mean reward", True),
        (f" {what} held-out questions over {lower_first(checkpoint_label(before.name))}: {change}", False),
        (f"{points(mean.difference)} points", True),
        (f" (paired 95 % interval {interval_text(mean)}). ", False),
        (scores + _tally([verdict_class(task.score) for task in comparison.headline().values()]), False),
    ]


def _tally(verdicts: Sequence[str]) -> str:
    better, worse, none = (verdicts.count(verdict) for verdict in ("better", "worse", "none"))
    parts = [f"{plural(better, 'task')} better"] if better else []
    parts += [f"{plural(worse, 'task') if not parts else integer(worse)} worse"] if worse or better else []
    parts += [f"{plural(none, 'task') if not parts else integer(none)} without a clear difference"] if none else []
    return f"{', '.join(parts)}." if parts else ""
