"""Histograms as inline SVG, in the size and style of the line charts.

Widely spread values get bins that grow by a factor, so that a few long samples do not flatten all others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from markupsafe import Markup

from mimovl.report.chart import HEIGHT, WIDTH, svg
from mimovl.report.format import compact, integer, significant
from mimovl.report.scale import linear_scale

__all__ = ["bins_of", "histogram"]

_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 8, 13, 22
_BINS = 24
_SPREAD = 40.0
"""Largest by smallest positive value from which bins grow by a factor."""


def bins_of(values: Sequence[float]) -> tuple[list[float], list[int], bool]:
    """Edges of the bins, how many values each holds, and whether they grow by a factor.

    Args:
        values: none negative; not empty.
    """
    low, high = min(values), max(values)
    positive = [value for value in values if value > 0]
    grows = bool(positive) and high / min(positive) > _SPREAD and low > 0
    if high == low:
        edges = [low - 0.5, low + 0.5]
    elif grows:
        first, last = math.log10(low), math.log10(high)
        edges = [10 ** (first + (last - first) * n / _BINS) for n in range(_BINS + 1)]
    else:
        whole = all(float(value).is_integer() for value in (low, high)) and high - low < _BINS
        count = int(high - low) + 1 if whole else _BINS
        start, width = (low - 0.5, 1.0) if whole else (low, (high - low) / count)
        edges = [start + n * width for n in range(count + 1)]
    counts = [0] * (len(edges) - 1)
    for value in values:
        if grows:
            place = int(_BINS * math.log10(value / low) / math.log10(high / low))
        else:
            place = int((value - edges[0]) / (edges[-1] - edges[0]) * len(counts))
        counts[min(max(place, 0), len(counts) - 1)] += 1
    return edges, counts, grows


def histogram(title: str, values: Sequence[float], *, unit: str = "", css: str = "t-other") -> Markup | None:
    """A chart of how values are spread, or None where there are none.

    Args:
        title: what is counted, for screen readers.
        values: none negative.
        unit: of the values, written under the axis.
        css: colour class.
    """
    if not values:
        return None
    edges, counts, grows = bins_of(values)
    y = linear_scale([0, *counts], HEIGHT - _BOTTOM, _TOP, ticks=3, low=0.0)
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    width = (right - _LEFT) / len(counts)
    body = []
    for tick in y.ticks:
        line = "axisline" if tick == y.low else "gridline"
        body.append(f'<line class="{line}" x1="{_LEFT}" y1="{y(tick):.1f}" x2="{right}" y2="{y(tick):.1f}"/>')
        body.append(f'<text x="{_LEFT - 6}" y="{y(tick) + 3.5:.1f}" text-anchor="end">{escape(compact(tick))}</text>')
    for number, count in enumerate(counts):
        if count:
            top = min(y(count), bottom - 1.0)
            place = f'x="{_LEFT + number * width + 0.5:.1f}" y="{top:.1f}"'
            size = f'width="{max(width - 1.0, 1.0):.1f}" height="{bottom - top:.1f}"'
            first, last = edges[number], edges[number + 1]
            span = compact(round((first + last) / 2)) if last - first == 1 else f"{compact(first)} – {compact(last)}"
            label = escape(f"{integer(count)}: {span} {unit}".strip())
            body.append(f'<rect class="bin {css}" {place} {size}><title>{label}</title></rect>')
    for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        low, high = edges[0], edges[-1]
        value = low * (high / low) ** share if grows else low + share * (high - low)
        if share == 0.5 or len(counts) > 1:
            label = compact(round(value)) if value >= 100 else significant(max(value, 0.0), 2)
            label += f" {unit}" if share == 1.0 and unit else ""
            at = _LEFT + share * (right - _LEFT)
            body.append(f'<text x="{at:.1f}" y="{bottom + 14}" text-anchor="{anchor}">{escape(label)}</text>')
    return svg(WIDTH, HEIGHT, title, "".join(body))
