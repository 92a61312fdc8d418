"""Scores by checkpoint as small SVG panels: a dot and its 95 % interval for each checkpoint and mode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

from mimovl.report.chart import svg
from mimovl.report.format import percent

__all__ = ["ScorePoint", "score_panel"]

_WIDTH, _HEIGHT = 204, 136
_LEFT, _RIGHT, _TOP, _BOTTOM = 25, 22, 10, 20
_MODE_SHIFT = 4.0
"""Pixels by which the two modes stand apart, so that their intervals do not hide each other."""
_LABEL_GAP = 11.0
"""Pixels between the two labels at the right, so that they do not overlap."""


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
        css_line, y = "gridline" if tick else "axisline", f"{_y(tick):.1f}"
        body.append(f'<line class="{css_line}" x1="{_LEFT}" x2="{right}" y1="{y}" y2="{y}"/>')
        label_y = f"{_y(tick) + 3.5:.1f}"
        body.append(f'<text class="tick" x="{_LEFT - 5}" y="{label_y}" text-anchor="end">{100 * tick:g}</text>')
    for column, label in enumerate(labels):
        x = _x(column, len(labels))
        body.append(f'<text class="tick" x="{x:.1f}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(label)}</text>')
    modes = sorted({point.mode for point in points})
    ends: list[tuple[float, str, str]] = []
    described = []
    for index, mode in enumerate(modes):
        own = sorted((point for point in points if point.mode == mode), key=lambda point: point.column)
        shift = (index - (len(modes) - 1) / 2) * 2 * _MODE_SHIFT
        kind = "hollow" if mode == "no_think" else "solid"
        words = _MODES.get(mode, mode)
        places = [(_x(point.column, len(labels)) + shift, point) for point in own]
        path = " ".join(f"{x:.1f},{_y(point.score):.1f}" for x, point in places)
        body.append(f'<polyline class="trend {kind} {css}" points="{path}"/>')
        body += [_mark(x, point, f"{kind} {css}", f"{labels[point.column]}, {words}") for x, point in places]
        ends.append((_y(own[-1].score), f"{100 * own[-1].score:.0f}", kind))
        described.append(f"{words} {percent(own[-1].score)}")
    below = -math.inf
    for place, label, kind in sorted(ends):
        below = max(place, below + _LABEL_GAP)
        body.append(f'<text class="end {kind}" x="{right + 2}" y="{below + 3.5:.1f}">{label}</text>')
    return svg(
        _WIDTH, _HEIGHT, f"{title} by checkpoint, last: {'; '.join(described)}", "".join(body), css="chart panel"
    )


def _mark(x: float, point: ScorePoint, css: str, words: str) -> str:
    hint = f"{words}: {percent(point.score)} ({percent(point.low)} to {percent(point.high)}, n = {point.n})"
    whisker = f'x1="{x:.1f}" x2="{x:.1f}" y1="{_y(point.low):.1f}" y2="{_y(point.high):.1f}"'
    return (
        f'<g class="mark {css}"><title>{escape(hint)}</title><line class="whisker" {whisker}/>'
        f'<circle cx="{x:.1f}" cy="{_y(point.score):.1f}" r="3"/></g>'
    )


_MODES = {"thinking": "thinking", "no_think": "not thinking", "mean": "headline mode"}
