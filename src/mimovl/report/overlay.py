"""Draws what was said (solid) and what is true (dashed) over a picture, or as two bars under the frames of a clip."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from markupsafe import Markup

from mimovl.report.geometry import Box, Geometry
from mimovl.report.pictures import Embedded

__all__ = ["clip_overlay", "picture_overlay"]


def _rect(css: str, box: Box, width: float, height: float) -> str:
    """A rectangle with a light casing under it, clipped to a little beyond the picture so that it stays visible."""
    x1, x2 = (min(max(x, 0.0), width) for x in (box[0], box[2]))
    y1, y2 = (min(max(y, 0.0), height) for y in (box[1], box[3]))
    place = f'x="{x1:.1f}" y="{y1:.1f}" width="{max(x2 - x1, 0.5):.1f}" height="{max(y2 - y1, 0.5):.1f}"'
    return f'<rect class="casing" {place}/><rect class="{css}" {place}/>'


def _cross(css: str, x: float, y: float, width: float, height: float) -> str:
    x, y = min(max(x, 0.0), width), min(max(y, 0.0), height)
    arm = 0.045 * max(width, height)
    path = f'd="M{x - arm:.1f} {y:.1f}H{x + arm:.1f}M{x:.1f} {y - arm:.1f}V{y + arm:.1f}"'
    ring = f'cx="{x:.1f}" cy="{y:.1f}" r="{arm * 0.55:.1f}"'
    return "".join(f'<path class="{name}" {path}/><circle class="{name}" {ring}/>' for name in ("casing", css))


def picture_overlay(
    picture: Embedded, width: float, height: float, truth: Geometry, said: Sequence[tuple[Geometry, str]], title: str
) -> Markup:
    """The picture as SVG with true boxes dashed and each said box or point solid.

    Args:
        picture: The embedded picture.
        width: Width in pixels of the picture as the model saw it: the unit of all coordinates.
        height: Its height.
        truth: What is right.
        said: What was said, each with its CSS class (``said``, or ``said better``/``said worse`` for rollouts).
        title: For screen readers.
    """
    width, height = (width, height) if width > 0 and height > 0 else (picture.width, picture.height)
    shapes = [_rect("truth", box, width, height) for box in truth.boxes]
    for geometry, css in said:
        shapes += [_rect(css, box, width, height) for box in geometry.boxes]
        shapes += [_cross(css, x, y, width, height) for x, y in geometry.points]
    return Markup(
        f'<svg class="picture" viewBox="0 0 {width:g} {height:g}" role="img"><title>{escape(title)}</title>'
        f'<image href="{picture.uri}" width="{width:g}" height="{height:g}" preserveAspectRatio="none"/>'
        f"{''.join(shapes)}</svg>"
    )


def clip_overlay(clip: Embedded, truth: Geometry, said: Sequence[tuple[Geometry, str]], title: str) -> Markup:
    """The clip's frames over a time axis, the true span as a dashed bar and each said span as a solid one."""
    seconds = max(clip.seconds, 1e-6)

    def bar(css: str, span: tuple[float, float]) -> str:
        start, end = (min(max(at / seconds, 0.0), 1.0) for at in sorted(span))
        return (
            f'<span class="bar {css}"><i style="left:{100 * start:.2f}%;width:{max(100 * (end - start), 0.8):.2f}%"></i></span>'
        )

    bars = [bar("truth", truth.span)] if truth.span else []
    bars += [bar(css, geometry.span) for geometry, css in said if geometry.span]
    axis = "".join(f"<span>{round(share * seconds, 1):g} s</span>" for share in (0, 0.5, 1)) if bars else ""
    return Markup(
        f'<div class="clip" role="img" aria-label="{escape(title)}"><img src="{clip.uri}" alt="" '
        f'width="{clip.width}" height="{clip.height}">{"".join(bars)}'
        + (f'<span class="times">{axis}</span>' if axis else "")
        + "</div>"
    )
