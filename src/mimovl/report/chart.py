"""Line charts as inline SVG: grid, ticks, the raw curve faint and the smoothed one strong, its last value beside it.

All charts are one small size (the page lays them out as small multiples), so their letters keep one size on a
phone and on a wide screen. Colours come from CSS classes, so light and dark need one SVG. Hovering is done by
``templates/script.js`` from the ``data-`` attributes; without it the chart is complete.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

from mimovl.report.format import significant
from mimovl.report.scale import Point, Scale, linear_scale, log_scale, smooth_pieces, thin

__all__ = ["Band", "Series", "line_chart", "svg"]

WIDTH, HEIGHT = 272, 164
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 40, 13, 22
_ASCENT = 3.5
"""Half the height of a digit: puts a label's middle on its tick."""


@dataclass(frozen=True)
class Series:
    """One curve. ``css`` is the colour class; ``label`` is shown when hovering, and at its end if several are drawn."""

    label: str
    points: Sequence[Point]
    css: str = "t-other"


@dataclass(frozen=True)
class Band:
    """A named stretch of the x axis, e.g. a stage."""

    label: str
    start: float
    end: float


def svg(width: float, height: float, title: str, body: str, *, css: str = "chart", data: str = "") -> Markup:
    """An accessible SVG element; ``body`` and ``data`` must already be escaped."""
    head = f'<svg class="{css}" viewBox="0 0 {width:g} {height:g}" role="img"{data}>'
    return Markup(f"{head}<title>{escape(title)}</title>{body}</svg>")


def _text(x: float, y: float, text: str, css: str, anchor: str = "start") -> str:
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(css: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{css}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _polyline(css: str, points: Sequence[Point], x: Scale, y: Scale, data: str = "") -> str:
    if len(points) == 1:
        return f'<circle class="dot {css}" cx="{x(points[0][0]):.1f}" cy="{y(points[0][1]):.1f}" r="2.5"{data}/>'
    path = " ".join(f"{x(px):.1f},{y(py):.1f}" for px, py in points)
    return f'<polyline class="{css}" points="{path}"{data}/>'


def _axes(x: Scale, y: Scale, x_label: str, write_tick: Callable[[float], str]) -> str:
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    body = [_line("axisline" if tick == y.low else "gridline", _LEFT, y(tick), right, y(tick)) for tick in y.ticks]
    body += [_text(_LEFT - 6, y(tick) + _ASCENT, write_tick(tick), "tick", "end") for tick in y.ticks]
    ticks = [tick for tick in x.ticks if x.low <= tick <= x.high]
    labelled = [tick for tick in ticks if x(tick) < right - 14]  # the unit stands at the end
    body += [_text(x(tick), bottom + 14, significant(tick), "tick", "middle") for tick in labelled]
    body += [_line("axisline", x(tick), bottom, x(tick), bottom + 3) for tick in ticks]
    body.append(_text(right, bottom + 14, x_label, "tick", "start"))
    return "".join(body)


def _bands(bands: Sequence[Band], x: Scale) -> str:
    body = []
    for index, band in enumerate(bands):
        start, end = x(band.start), x(band.end)
        if index:
            body.append(_line("band", start, _TOP, start, HEIGHT - _BOTTOM))
        if end - start >= 7 * len(band.label):
            body.append(_text((start + end) / 2, _TOP - 3, band.label, "tick", "middle"))
    return "".join(body)


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    x_label: str = "steps",
    write_y: Callable[[float], str] = significant,
    write_tick: Callable[[float], str] = significant,
    log: bool = False,
    low: float | None = None,
    y_values: Sequence[float] = (),
    reference: tuple[float, str] | None = None,
    bands: Sequence[Band] = (),
) -> Markup | None:
    """A chart of one or a few curves, or None where there is nothing to draw.

    Args:
        title: What is drawn, for screen readers.
        series: The curves; points with y ≤ 0 are left out if ``log``.
        x_label: Unit of the x axis, written at its end.
        write_y: Writes a value of the curve.
        write_tick: Writes a tick of the y axis.
        log: Draw y logarithmically.
        low: Where the y axis begins; by default a round number below the lowest value.
        y_values: Values that the y axis must include too, so that neighbouring charts share one scale.
        reference: A horizontal line at a value, with its label.
        bands: Named stretches of the x axis; the curve is smoothed within each, for it may begin at another level.
    """
    series = [
        Series(one.label, kept, one.css)
        for one in series
        if (kept := [point for point in one.points if point[1] > 0 or not log])
    ]
    if not series:
        return None
    edges = [band.end for band in bands[:-1]]
    drawn = [(one, smooth_pieces(one.points, edges, log=log)) for one in series]
    ys = [y for one in series for _, y in one.points] + list(y_values) + ([reference[0]] if reference else [])
    xs = [0.0, *(x for one in series for x, _ in one.points)]
    xs += [edge for band in bands for edge in (band.start, band.end)]
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    y = log_scale(ys, bottom, _TOP) if log else linear_scale(ys, bottom, _TOP, low=low)
    x = linear_scale(xs, _LEFT, right, ticks=4, nice=False)
    body = [_bands(bands, x), _axes(x, y, x_label, write_tick)]
    if reference:
        at = y(reference[0])
        body += [_line("reference", _LEFT, at, right, at), _text(right + 4, at + _ASCENT, reference[1], "reference")]
    ends: list[tuple[float, str]] = []
    for one, pieces in drawn:
        if len(one.points) >= 8:
            body.append(_polyline(f"raw {one.css}", thin(one.points), x, y))
        data = f' data-name="{escape(one.label)}"'
        body += [_polyline(f"curve {one.css}", piece, x, y, data) for piece in pieces]
        last_x, last_y = pieces[-1][-1]
        body.append(f'<circle class="dot {one.css}" cx="{x(last_x):.1f}" cy="{y(last_y):.1f}" r="2.5"/>')
        ends.append((y(last_y), f"{one.label} {write_y(last_y)}" if len(series) > 1 else write_y(last_y)))
    for place, label in _apart(ends):
        body.append(_text(right + 5, place + _ASCENT, label, "end"))
    described = "; ".join(f"{one.label}: {write_y(own[0][0][1])} to {write_y(own[-1][-1][1])}" for one, own in drawn)
    plot = f' data-plot="{_LEFT},{right},{_TOP},{bottom}" data-x="{x.low:.6g},{x.high:.6g},{escape(x_label)}"'
    plot += f' data-y="{y.low:.6g},{y.high:.6g},{"log" if log else "linear"}"'
    return svg(WIDTH, HEIGHT, f"{title}. {described}", "".join(body), data=plot)


def _apart(labels: Sequence[tuple[float, str]], gap: float = 12) -> list[tuple[float, str]]:
    """The labels moved down as little as needed not to overlap."""
    placed: list[tuple[float, str]] = []
    for place, label in sorted(labels):
        placed.append((max(place, placed[-1][0] + gap) if placed else place, label))
    return placed
