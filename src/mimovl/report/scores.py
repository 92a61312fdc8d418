"""Scores as the page shows them: the headline table, panels by checkpoint, paired differences, how answers ended.

Two checkpoints are compared: reinforcement learning against the last stage before it, or, in a run without it,
the last checkpoint against the first. The differences themselves are computed by ``mimovl.evaluate``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mimovl.report.differences import Difference
from mimovl.report.format import finite, integer, percent, plural, points
from mimovl.report.palette import in_order, stage_title, task_class, task_name
from mimovl.report.run_directory import Checkpoint, Record, Run, mapping
from mimovl.report.scale import linear_scale

__all__ = [
    "Forest",
    "Mark",
    "ScoreRow",
    "ScoreTable",
    "checkpoint_label",
    "compared",
    "forest",
    "score_table",
    "verdict_of",
    "verdict_sentence",
]

MEAN = "mean reward"
"""Key of the row over all tasks."""


@dataclass(frozen=True)
class Mark:
    """A dot with its interval on a horizontal axis, in per cent of its width. ``kind`` is before or after."""

    kind: str
    at: str
    low: str
    width: str


@dataclass(frozen=True)
class ScoreRow:
    """A row of the headline table or of the paired differences."""

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


@dataclass(frozen=True)
class Forest:
    """Paired differences on one axis: ``zero`` and ``ticks`` are places in per cent of its width."""

    before: str
    after: str
    rows: list[ScoreRow]
    zero: str
    ticks: list[tuple[str, str]]


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


def verdict_of(difference: Difference | None) -> str:
    """``better``, ``worse``, or ``none`` where the interval holds zero; empty without a difference."""
    if difference is None:
        return ""
    return "better" if difference.low > 0 else "worse" if difference.high < 0 else "none"


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


def score_table(
    before: Checkpoint | None, after: Checkpoint, differences: Mapping[str, Difference]
) -> ScoreTable:
    """The table a reader wants first: a row a task, the mean reward above them."""
    rows = []
    was, now = mapping(before.summary.get("mean_reward")) if before else {}, mapping(after.summary.get("mean_reward"))
    if now:
        detail = "over all tasks, weighted equally"
        rows.append(_row("Mean reward", "t-rl", detail, was, now, differences.get(MEAN), total=True))
    for task in in_order(after.scores):
        now = mapping(after.scores.get(task))
        was = mapping(before.scores.get(task)) if before else {}
        words = [str(now.get("metric") or ""), _mode_words(now.get("mode")), f"n = {integer(now.get('n'))}"]
        detail = ", ".join(word for word in words if word)
        rows.append(_row(task_name(task), task_class(task), detail, was, now, differences.get(task)))
    return ScoreTable(checkpoint_label(before.name) if before else "", checkpoint_label(after.name), rows)


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
        difference=points(difference.mean) if difference else "",
        difference_interval=_difference_interval(difference),
        verdict=verdict_of(difference),
    )


def _difference_interval(difference: Difference | None) -> str:
    return f"{points(difference.low)} to {points(difference.high)}" if difference else ""


def forest(before: Checkpoint, after: Checkpoint, differences: Mapping[str, Difference]) -> Forest | None:
    """Paired differences by task on a shared axis around zero, the mean reward first; None without any."""
    if not differences:
        return None
    ends = [end for one in differences.values() for end in (one.low, one.high, one.mean)]
    scale = linear_scale([*ends, 0.0], 0.0, 100.0, ticks=5)
    rows = []
    for key in [*([MEAN] if MEAN in differences else []), *in_order(key for key in differences if key != MEAN)]:
        one = differences[key]
        width = f"{scale(one.high) - scale(one.low):.2f}"
        mark = Mark("after", f"{scale(one.mean):.2f}", f"{scale(one.low):.2f}", width)
        rows.append(
            ScoreRow(
                name="Mean reward" if key == MEAN else task_name(key),
                css="t-rl" if key == MEAN else task_class(key),
                detail=f"{plural(one.n, 'pair')}",
                total=key == MEAN,
                was=percent(one.before),
                now=percent(one.after),
                marks=(mark,),
                difference=points(one.mean),
                difference_interval=_difference_interval(one),
                verdict=verdict_of(one),
            )
        )
    ticks = [(f"{scale(tick):.2f}", points(tick, 0) if abs(100 * tick) >= 1 or tick == 0 else points(tick)) for tick in scale.ticks]
    return Forest(checkpoint_label(before.name), checkpoint_label(after.name), rows, f"{scale(0.0):.2f}", ticks)


def verdict_sentence(
    before: Checkpoint | None, after: Checkpoint | None, differences: Mapping[str, Difference]
) -> list[tuple[str, bool]]:
    """What the run showed, as (text, emphasised) pieces; empty before two checkpoints can be compared."""
    if after is None:
        return []
    reward = finite(mapping(after.summary.get("mean_reward")).get("score"))
    mean = differences.get(MEAN)
    if before is None or mean is None:
        if reward is None:
            return []
        return [(f"After {_within(after)} the mean reward on held-out questions is ", False), (percent(reward), True), (".", False)]
    verdict = verdict_of(mean)
    verb = {"better": "raised", "worse": "lowered", "none": "did not clearly change"}[verdict]
    pieces = [(f"{checkpoint_label(after.name)} ", False), (f"{verb} the mean reward", True)]
    pieces.append((f" on held-out questions over {_within(before)}: {percent(mean.before)} → {percent(mean.after)}, ", False))
    pieces += [(f"{points(mean.mean)} points", True), (f" (paired 95 % interval {_difference_interval(mean)}). ", False)]
    pieces.append((_tally([verdict_of(one) for key, one in differences.items() if key != MEAN]), False))
    return pieces


def _within(checkpoint: Checkpoint) -> str:
    """A label inside a sentence: ``stage 4``, ``MORL``."""
    label = checkpoint_label(checkpoint.name)
    return label if label.isupper() else label[0].lower() + label[1:]


def _tally(verdicts: Sequence[str]) -> str:
    better, worse, none = (verdicts.count(verdict) for verdict in ("better", "worse", "none"))
    parts = [f"{plural(better, 'task')} better"] if better else []
    parts += [f"{plural(worse, 'task') if not parts else integer(worse)} worse"] if worse or better else []
    parts += [f"{plural(none, 'task') if not parts else integer(none)} without a clear difference"] if none else []
    return f"{', '.join(parts)}." if parts else ""
