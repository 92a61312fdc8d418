"""Scores by checkpoint as small SVG panels: a dot and its 95 % interval for each checkpoint and mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

from mimovl.report.chart import svg
from mimovl.report.format import percent

__all__ = ["ScorePoint", "score_panel"]

_WIDTH, _HEIGHT = 240, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 30, 34, 10, 20
_MODE_SHIFT = 5.0
"""Pixels by which the two modes stand apart, so that their intervals do not hide each other."""


@dataclass(frozen=True)
class ScorePoint:
    """One score in [0, 1] with its interval; ``column`` is the index of its checkpoint."""

    column: int
    mode: str
    score: float
    low: float
    high: float
    n: int


def _x(column: int, columns: int) -> float:
    inner = _WIDTH - _LEFT - _RIGHT
    return _LEFT + inner * (column + 0.5) / max(columns, 1)


def _y(value: float) -> float:
    return _TOP + (1 - min(max(value, 0.0), 1.0)) * (_HEIGHT - _TOP - _BOTTOM)


def score_panel(title: str, labels: Sequence[str], points: Sequence[ScorePoint], css: str) -> Markup | None:
    """A panel from 0 to 100 % with one column for each of ``labels``; None without points.

    Thinking is drawn solid, not thinking hollow with a dashed line; any other mode (a mean over both) solid.
    """
    if not points:
        return None
    right = _WIDTH - _RIGHT
    body = []
    for tick in (0.0, 0.5, 1.0):
        body.append(
            f'<line class="{"axisline" if tick == 0 else "gridline"}" x1="{_LEFT}" x2="{right}" y1="{_y(tick):.1f}" y2="{_y(tick):.1f}"/>'
        )
        body.append(f'<text class="tick" x="{_LEFT - 5}" y="{_y(tick) + 3.5:.1f}" text-anchor="end">{100 * tick:g}</text>')
    for column, label in enumerate(labels):
        x = _x(column, len(labels))
        body.append(f'<text class="tick" x="{x:.1f}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(label)}</text>')
    modes = sorted({point.mode for point in points})
    ends = []
    for index, mode in enumerate(modes):
        own = sorted((point for point in points if point.mode == mode), key=lambda point: point.column)
        shift = (index - (len(modes) - 1) / 2) * 2 * _MODE_SHIFT
        kind = "hollow" if mode == "no_think" else "solid"
        places = [(_x(point.column, len(labels)) + shift, point) for point in own]
        path = " ".join(f"{x:.1f},{_y(point.score):.1f}" for x, point in places)
        body.append(f'<polyline class="trend {kind} {css}" points="{path}"/>')
        for x, point in places:
            hint = f"{labels[point.column]}, {_MODES.get(mode, mode)}: {percent(point.score)} "
            hint += f"({percent(point.low)} to {percent(point.high)}, n = {point.n})"
            body.append(
                f'<g class="mark {kind} {css}"><title>{escape(hint)}</title>'
                f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" y1="{_y(point.low):.1f}" y2="{_y(point.high):.1f}"/>'
                f'<circle cx="{x:.1f}" cy="{_y(point.score):.1f}" r="3.2"/></g>'
            )
        ends.append((_y(own[-1].score), own[-1].score, kind))
    ends.sort()
    for index, (y, score, kind) in enumerate(ends):
        place = max(y, ends[index - 1][0] + 11) if index else y
        body.append(f'<text class="end {kind}" x="{right + 2}" y="{place + 3.5:.1f}">{100 * score:.0f}</text>')
    described = "; ".join(f"{_MODES.get(mode, mode)} {percent(score)}" for mode, (_, score, _) in zip(modes, ends, strict=True))
    return svg(_WIDTH, _HEIGHT, f"{title} by checkpoint, last: {described}", "".join(body), css="chart panel")


_MODES = {"thinking": "thinking", "no_think": "not thinking", "mean": "headline mode"}
