"""Scores by checkpoint: one small panel a task, the same as numbers, and how the last checkpoint's answers ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mimovl.report.curves import Figure
from mimovl.report.format import finite, fixed, integer, percent, significant
from mimovl.report.palette import in_order, task_class, task_name
from mimovl.report.run_directory import Checkpoint, Record, mapping
from mimovl.report.score_panel import ScorePoint, score_panel
from mimovl.report.scores import checkpoint_label

__all__ = ["AllScores", "ModeEnds", "ModeRow", "all_scores", "mode_rows", "panel_label", "score_panels"]

MODES = ("thinking", "no_think")
_ENDS = (
    ("CORRECT", "end-ok", "right"),
    ("WRONG", "end-bad", "wrong"),
    ("NO_ANSWER", "end-none", "no answer"),
    ("TRUNCATED", "end-cut", "cut off"),
)


@dataclass(frozen=True)
class ModeEnds:
    """How the answers of one task and mode ended: (CSS class, per cent) pieces and the same in words."""

    score: str
    tokens: str
    headline: bool
    outcomes: tuple[tuple[str, str], ...]
    ends: str


@dataclass(frozen=True)
class ModeRow:
    """A task, thinking and not thinking."""

    name: str
    css: str
    modes: tuple[ModeEnds, ...]


@dataclass(frozen=True)
class AllScores:
    """Every score as a number: rows of (task, mode, cells of (score, interval))."""

    labels: list[str]
    rows: list[tuple[str, str, list[tuple[str, str]]]]


def panel_label(name: str) -> str:
    """The shortest label of a checkpoint: ``4`` or ``MORL``."""
    return checkpoint_label(name).removeprefix("Stage ")


def _point(column: int, mode: str, record: Record) -> list[ScorePoint]:
    score, interval = finite(record.get("score")), record.get("interval")
    if score is None:
        return []
    ends = [finite(end) for end in interval] if isinstance(interval, list | tuple) and len(interval) == 2 else []
    low, high = (score if end is None else end for end in ends) if ends else (score, score)
    return [ScorePoint(column, mode, score, low, high, int(finite(record.get("n")) or 0))]


def score_panels(checkpoints: Sequence[Checkpoint]) -> list[Figure]:
    """The mean reward, then a panel a task; empty without scores."""
    labels = [panel_label(checkpoint.name) for checkpoint in checkpoints]
    figures = []
    means = [
        point
        for column, checkpoint in enumerate(checkpoints)
        for point in _point(column, "mean", mapping(checkpoint.summary.get("mean_reward")))
    ]
    panels = [("Mean reward", means, "t-rl")]
    for task in in_order(task for checkpoint in checkpoints for task in checkpoint.scores):
        points = [
            point
            for column, checkpoint in enumerate(checkpoints)
            for mode in MODES
            for point in _point(column, mode, mapping(mapping(checkpoint.scores.get(task)).get(mode)))
        ]
        panels.append((task_name(task), points, task_class(task)))
    for title, points, css in panels:
        chart = score_panel(title, labels, points, css)
        if chart:
            figures.append(Figure(title, chart, css=css))
    return figures


def all_scores(checkpoints: Sequence[Checkpoint]) -> AllScores:
    """The panels' numbers as a table."""
    rows = []
    for task in in_order(task for checkpoint in checkpoints for task in checkpoint.scores):
        for mode in MODES:
            cells = []
            for checkpoint in checkpoints:
                record = mapping(mapping(checkpoint.scores.get(task)).get(mode))
                points = _point(0, mode, record)
                interval = f"{100 * points[0].low:.1f}–{100 * points[0].high:.1f}" if points else ""
                cells.append((fixed(100 * points[0].score, 1) if points else "–", interval))
            rows.append((task_name(task), "thinking" if mode == "thinking" else "not thinking", cells))
    return AllScores([checkpoint_label(checkpoint.name) for checkpoint in checkpoints], rows)


def mode_rows(checkpoint: Checkpoint) -> list[ModeRow]:
    """How the answers of a checkpoint ended, by task and mode."""
    rows = []
    for task in in_order(checkpoint.scores):
        record = mapping(checkpoint.scores.get(task))
        modes = tuple(_ends(mapping(record.get(mode)), headline=record.get("mode") == mode) for mode in MODES)
        rows.append(ModeRow(task_name(task), task_class(task), modes))
    return rows


def _ends(record: Record, *, headline: bool) -> ModeEnds:
    outcomes = mapping(record.get("outcomes"))
    counts = {name: finite(outcomes.get(name)) or 0.0 for name, _, _ in _ENDS}
    total = sum(counts.values()) or 1.0
    present = [(name, css, words) for name, css, words in _ENDS if counts[name]]
    return ModeEnds(
        score=percent(record.get("score")),
        tokens=significant(record.get("mean_tokens")) if finite(record.get("mean_tokens")) is not None else "",
        headline=headline,
        outcomes=tuple((css, f"{100 * counts[name] / total:.2f}") for name, css, _ in present),
        ends=", ".join(f"{integer(counts[name])} {words}" for name, _, words in present),
    )
