"""The two figures as SVG that stands alone: curves with bands, and dots with whiskers; and a page around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from experiments.intervals import Interval
from mimovl.report.scale import Scale, linear_scale

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#555555")
"""Okabe and Ito's, which colour-blind eyes tell apart."""
WIDTH, HEIGHT = 640, 340
LEFT, RIGHT, TOP, BOTTOM = 56, 150, 34, 40

STYLE = """<style>text{font:12px system-ui,sans-serif;fill:#333}.title{font-weight:600;font-size:13px}
.grid{stroke:#ddd}.axis{stroke:#888}</style>"""


@dataclass(frozen=True)
class Curve:
    """A line through points of x and a value with its interval."""

    label: str
    points: Sequence[tuple[float, Interval]]


def curves(title: str, lines: Sequence[Curve], *, x_label: str, y_label: str) -> str:
    """Curves with bands of their 95 % intervals."""
    xs = [x for line in lines for x, _ in line.points]
    ys = [bound for line in lines for _, value in line.points for bound in (value.low, value.high)]
    x = linear_scale([0.0, *xs], LEFT, WIDTH - RIGHT, nice=False)
    y = linear_scale(ys, HEIGHT - BOTTOM, TOP)
    body = [*_frame(title, y, y_label), _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_label, "middle")]
    body += [_text(x(tick), HEIGHT - BOTTOM + 16, f"{tick:,.0f}", "middle") for tick in x.ticks]
    for number, line in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        upper = [f"{x(at):.1f},{y(value.high):.1f}" for at, value in line.points]
        lower = [f"{x(at):.1f},{y(value.low):.1f}" for at, value in reversed(line.points)]
        middle = " ".join(f"{x(at):.1f},{y(value.value):.1f}" for at, value in line.points)
        body.append(f'<polygon points="{" ".join(upper + lower)}" fill="{colour}" fill-opacity=".16"/>')
        body.append(f'<polyline points="{middle}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for at, value in line.points:
            body += [_dot(x(at), y(one), colour, 1.6, 0.5) for one in value.seeds]
        body.append(_legend(number, line.label, colour))
    return _svg(title, body)


def dots(title: str, groups: Sequence[str], arms: Sequence[tuple[str, Sequence[Interval]]], *, y_label: str) -> str:
    """For each group a dot of each arm with its 95 % interval, the single seeds small beside it."""
    ys = [bound for _, values in arms for value in values for bound in (value.low, value.high, *value.seeds)]
    y = linear_scale(ys, HEIGHT - BOTTOM, TOP)
    body = _frame(title, y, y_label)
    wide = (WIDTH - RIGHT - LEFT) / max(1, len(groups))
    for place, group in enumerate(groups):
        body.append(_text(LEFT + wide * (place + 0.5), HEIGHT - BOTTOM + 18, group, "middle"))
    for number, (label, values) in enumerate(arms):
        colour = COLOURS[number % len(COLOURS)]
        for place, value in enumerate(values):
            at = LEFT + wide * (place + 0.5 + 0.7 * ((number + 0.5) / len(arms) - 0.5))
            low, high = y(value.low), y(value.high)
            body.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="{colour}"/>')
            body += [_dot(at + 5, y(one), colour, 1.6, 0.5) for one in value.seeds]
            body.append(_dot(at, y(value.value), colour, 4, 1))
        body.append(_legend(number, label, colour))
    return _svg(title, body)


def page(title: str, lede: str, figures: Sequence[str], rows: Sequence[Sequence[str]], path: Path) -> None:
    """An HTML page of figures and a table whose first row is its heading; each figure also as a file of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for number, figure in enumerate(figures, start=1):
        path.with_name(f"figure-{number}.svg").write_text(figure, encoding="utf-8")
    head, *rest = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    table = f"<table><tr class='head'>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rest)}</table>"
    style = "body{font:15px system-ui;max-width:720px;margin:2em auto;color:#222}td{padding:3px 12px 3px 0}"
    path.write_text(
        f"<!doctype html><meta charset='utf-8'><title>{escape(title)}</title><style>{style}.head{{font-weight:600}}"
        f"</style><h1>{escape(title)}</h1><p>{escape(lede)}</p>{''.join(figures)}{table}",
        encoding="utf-8",
    )


def _frame(title: str, y: Scale, y_label: str) -> list[str]:
    body = [f'<text class="title" x="{LEFT}" y="16">{escape(title)}</text>', _text(LEFT, 29, y_label, "start")]
    for tick in y.ticks:
        at = f"{y(tick):.1f}"
        body.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
        body.append(_text(LEFT - 8, y(tick) + 4, f"{tick:g}", "end"))
    base = HEIGHT - BOTTOM
    return [*body, f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}"/>']


def _legend(number: int, label: str, colour: str) -> str:
    at = TOP + 12 + 20 * number
    return _dot(WIDTH - RIGHT + 18, at - 4, colour, 4, 1) + _text(WIDTH - RIGHT + 28, at, label, "start")


def _dot(x: float, y: float, colour: str, size: float, opacity: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" fill="{colour}" fill-opacity="{opacity}"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(title: str, body: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
    return f"{head}<title>{escape(title)}</title>{STYLE}{''.join(body)}</svg>"
