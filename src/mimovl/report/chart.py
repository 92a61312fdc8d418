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
from mimovl.report.scale import Point, Scale, linear_scale, log_scale, smooth, thin

__all__ = ["Band", "Series", "line_chart", "svg"]

WIDTH, HEIGHT = 320, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 38, 42, 14, 24
_ASCENT = 3.5
"""Half the height of a digit: puts a label's middle on its tick."""


@dataclass(frozen=True)
class Series:
    """One curve. ``css`` is the colour class; ``label`` is shown when hovering, and at its end if several are drawn."""

    label: str
    points: Sequence[Point]
    css: str = "t-other"
    smoothed: bool = True


@dataclass(frozen=True)
class Band:
    """A named stretch of the x axis, e.g. a stage."""

    label: str
    start: float
    end: float


def svg(width: float, height: float, title: str, body: str, *, css: str = "chart", data: str = "") -> Markup:
    """An accessible SVG element; ``body`` and ``data`` must already be escaped."""
    return Markup(
        f'<svg class="{css}" viewBox="0 0 {width:g} {height:g}" role="img"{data}><title>{escape(title)}</title>{body}</svg>'
    )


def _text(x: float, y: float, text: str, css: str, anchor: str = "start") -> str:
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(css: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{css}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _polyline(css: str, points: Sequence[Point], x: Scale, y: Scale, data: str = "") -> str:
    if len(points) == 1:
        return f'<circle class="dot {css}" cx="{x(points[0][0]):.1f}" cy="{y(points[0][1]):.1f}" r="2.5"{data}/>'
    path = " ".join(f"{x(px):.1f},{y(py):.1f}" for px, py in points)
    return f'<polyline class="{css}" points="{path}"{data}/>'


def _axes(x: Scale, y: Scale, x_label: str, write_y: Callable[[float], str]) -> str:
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    body = [_line("axisline" if tick == y.low else "gridline", _LEFT, y(tick), right, y(tick)) for tick in y.ticks]
    body += [_text(_LEFT - 6, y(tick) + _ASCENT, write_y(tick), "tick", "end") for tick in y.ticks]
    ticks = [tick for tick in x.ticks if x.low <= tick <= x.high]
    body += [_text(x(tick), bottom + 14, significant(tick), "tick", "middle") for tick in ticks]
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
    log: bool = False,
    low: float | None = None,
    y_values: Sequence[float] = (),
    x_values: Sequence[float] = (),
    reference: tuple[float, str] | None = None,
    bands: Sequence[Band] = (),
) -> Markup | None:
    """A chart of one or a few curves, or None where there is nothing to draw.

    Args:
        title: What is drawn, for screen readers.
        series: The curves; points with y ≤ 0 are left out if ``log``.
        x_label: Unit of the x axis, written at its end.
        write_y: Writes a value of the y axis.
        log: Draw y logarithmically.
        low: Where the y axis begins; by default a round number below the lowest value.
        y_values: Values that the y axis must include too, so that neighbouring charts share one scale.
        x_values: The same for the x axis.
        reference: A horizontal line at a value, with its label.
        bands: Named stretches of the x axis.
    """
    series = [
        Series(one.label, kept, one.css, one.smoothed)
        for one in series
        if (kept := [point for point in one.points if point[1] > 0 or not log])
    ]
    if not series:
        return None
    drawn = [(one, thin(smooth(one.points, log=log), 160) if one.smoothed else thin(one.points)) for one in series]
    ys = [y for one in series for _, y in one.points] + list(y_values) + ([reference[0]] if reference else [])
    xs = [x for one in series for x, _ in one.points] + list(x_values)
    xs += [edge for band in bands for edge in (band.start, band.end)]
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    y = log_scale(ys, bottom, _TOP) if log else linear_scale(ys, bottom, _TOP, low=low)
    x = linear_scale(xs, _LEFT, right, ticks=3, nice=False)
    body = [_bands(bands, x), _axes(x, y, x_label, write_y)]
    if reference:
        at = y(reference[0])
        body += [_line("reference", _LEFT, at, right, at), _text(right + 4, at + _ASCENT, reference[1], "reference")]
    ends: list[tuple[float, str]] = []
    for one, curve in drawn:
        if one.smoothed and len(one.points) >= 8:
            body.append(_polyline(f"raw {one.css}", thin(one.points), x, y))
        body.append(_polyline(f"curve {one.css}", curve, x, y, f' data-name="{escape(one.label)}"'))
        last_x, last_y = curve[-1]
        body.append(f'<circle class="dot {one.css}" cx="{x(last_x):.1f}" cy="{y(last_y):.1f}" r="2.5"/>')
        ends.append((y(last_y), f"{one.label} {write_y(last_y)}" if len(series) > 1 else write_y(last_y)))
    for place, label in _apart(ends):
        body.append(_text(right + 5, place + _ASCENT, label, "end"))
    described = "; ".join(f"{one.label}: {write_y(curve[0][1])} to {write_y(curve[-1][1])}" for one, curve in drawn)
    plot = f' data-plot="{_LEFT},{right},{_TOP},{bottom}" data-x="{x.low:.6g},{x.high:.6g},{escape(x_label)}"'
    plot += f' data-y="{y.low:.6g},{y.high:.6g},{"log" if log else "linear"}"'
    return svg(WIDTH, HEIGHT, f"{title}. {described}", "".join(body), data=plot)


def _apart(labels: Sequence[tuple[float, str]], gap: float = 12) -> list[tuple[float, str]]:
    """The labels moved down as little as needed not to overlap."""
    placed: list[tuple[float, str]] = []
    for place, label in sorted(labels):
        placed.append((max(place, placed[-1][0] + gap) if placed else place, label))
    return placed
