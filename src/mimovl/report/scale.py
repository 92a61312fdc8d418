"""Axes: from data to pixels, ticks at round numbers, and curves made readable.

Ticks step by 1, 2, 2.5 or 5 times a power of ten. Smoothing is a centred average, so a smoothed curve does not lag
behind what happened; the raw points always stay visible beside it.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Point", "Scale", "linear_scale", "log_scale", "smooth", "smooth_pieces", "thin"]

Point = tuple[float, float]
_SMOOTH_POINTS = 200
_HUGE = 1e30
"""Beyond this (and below its inverse, for logarithms) a value is drawn on the border: axes stay finite."""


@dataclass(frozen=True)
class Scale:
    """Maps data in [low, high] to pixels in [start, end], linearly or by logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    ticks: tuple[float, ...] = ()

    def __call__(self, value: float) -> float:
        """The pixel of ``value``; values outside the domain are put on its border."""
        value = min(max(value, self.low), self.high)
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        share = (value - low) / (high - low)
        return self.start + share * (self.end - self.start)


def _tick_step(span: float, wanted: int) -> float:
    rough = span / max(wanted, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    return next((factor * power for factor in (1, 2, 2.5, 5) if factor * power >= rough * 0.999), 10 * power)


def linear_scale(
    values: Sequence[float], start: float, end: float, *, ticks: int = 4, low: float | None = None, nice: bool = True
) -> Scale:
    """A scale over ``values``, from ``low`` if given; ``nice`` widens it to whole ticks."""
    values = [min(max(value, -_HUGE), _HUGE) if abs(value) > 1 / _HUGE else 0.0 for value in values]
    bottom = min(values, default=0.0) if low is None else min(low, min(values, default=low))
    top = max(values, default=1.0)
    if not top - bottom > 1e-9 * max(abs(top), abs(bottom), 1e-30):
        top = bottom + (abs(bottom) or 1.0)
    step = _tick_step(top - bottom, ticks)
    if nice:
        bottom, top = math.floor(bottom / step + 1e-9) * step, math.ceil(top / step - 1e-9) * step
    first = math.ceil(bottom / step - 1e-9)
    marks = [index * step for index in range(first, math.floor(top / step + 1e-9) + 1)]
    return Scale(bottom, top, start, end, False, tuple(marks))


def log_scale(values: Sequence[float], start: float, end: float, *, ticks: int = 4) -> Scale:
    """A logarithmic scale over the positive ``values``, from one power of ten to another."""
    positive = [min(max(value, 1 / _HUGE), _HUGE) for value in values if value > 0] or [0.1, 1.0]
    low, high = math.floor(math.log10(min(positive)) + 1e-9), math.ceil(math.log10(max(positive)) - 1e-9)
    low, high = (low - 1, high + 1) if low == high else (low, high)
    step = max(1, math.ceil((high - low) / max(ticks, 1)))
    marks = tuple(10.0**power for power in range(high, low - 1, -step))
    return Scale(10.0**low, 10.0**high, start, end, True, marks)


def smooth(points: Sequence[Point], *, log: bool = False) -> list[Point]:
    """A centred moving average with triangular weights, a twelfth of the curve wide; of logarithms if ``log``.

    At the ends the window is cut off, not moved, so the last point is the mean of the last few. Long curves are first
    averaged in ``_SMOOTH_POINTS`` buckets. Fewer than eight points are left as they are.
    """
    if len(points) < 8:
        return list(points)
    size = math.ceil(len(points) / _SMOOTH_POINTS)
    buckets = [points[first : first + size] for first in range(0, len(points), size)]
    xs = [points[0][0], *(bucket[-1][0] for bucket in buckets[1:])]
    ys = np.array([sum(math.log10(y) if log else y for _, y in bucket) / len(bucket) for bucket in buckets])
    reach = max(2, len(buckets) // 24)
    window = np.concatenate([np.arange(1, reach + 2), np.arange(reach, 0, -1)]).astype(float)
    curve = np.convolve(ys, window, "same") / np.convolve(np.ones_like(ys), window, "same")
    return [(x, float(10**value if log else value)) for x, value in zip(xs, curve, strict=True)]


def smooth_pieces(points: Sequence[Point], edges: Sequence[float] = (), *, log: bool = False) -> list[list[Point]]:
    """The curve smoothed on its own between any two ``edges`` of the x axis; stretches without points are left out."""
    runs: list[list[Point]] = [[] for _ in range(len(edges) + 1)]
    for point in points:
        runs[bisect_left(edges, point[0])].append(point)
    return [smooth(run, log=log) for run in runs if run]


def thin(points: Sequence[Point], most: int = 240) -> list[Point]:
    """At most about ``most`` points: of each run of neighbours the lowest and the highest, so that spikes stay."""
    if len(points) <= most:
        return list(points)
    size = math.ceil(2 * len(points) / most)
    kept: list[Point] = []
    for first in range(0, len(points), size):
        bucket = points[first : first + size]
        ends = {min(bucket, key=lambda point: point[1]), max(bucket, key=lambda point: point[1])}
        kept.extend(sorted(ends))
    return kept
