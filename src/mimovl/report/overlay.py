"""Draws what was said (solid) and what is true (dashed) over a picture, or as two bars under the frames of a clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

from mimovl.report.format import finite
from mimovl.report.geometry import Geometry
from mimovl.report.pictures import Embedded, Pictures
from mimovl.report.run_directory import Record
from mimovl.verify.box import Box

__all__ = ["Drawing", "clip_overlay", "draw", "picture_overlay"]


@dataclass(frozen=True)
class Drawing:
    """A picture or clip with its overlays; ``markup`` is None where there is none, or it is ``missing``."""

    markup: Markup | None
    missing: bool = False
    is_clip: bool = False


def draw(
    pictures: Pictures, line: Record, sample_id: str, truth: Geometry, said: Sequence[tuple[Geometry, str]], title: str
) -> Drawing:
    """Draw the picture or clip that a line of answers or rollouts names.

    Args:
        pictures: Where to look for it.
        line: The line, with ``media`` and, if known, ``width`` and ``height`` as the model saw them.
        sample_id: Of the question.
        truth: What is right.
        said: What was said, each with its CSS class.
        title: For screen readers.
    """
    media = line.get("media")
    names = [name for name in media if isinstance(name, str)] if isinstance(media, list | tuple) else []
    embedded = pictures.embed(sample_id, names)
    if embedded is None:
        return Drawing(None, missing=bool(names))
    if embedded.seconds:
        return Drawing(clip_overlay(embedded, truth, said, title), is_clip=True)
    return Drawing(picture_overlay(embedded, _seen_size(line, embedded), truth, said, title))


def _seen_size(line: Record, picture: Embedded) -> tuple[float, float]:
    """The unit of the coordinates: what the line says, unless that is but the size of the file."""
    width, height = finite(line.get("width")) or 0.0, finite(line.get("height")) or 0.0
    said = width > 0 and height > 0 and (width, height) != (picture.width, picture.height)
    return (width, height) if said else picture.seen


def _rect(css: str, box: Box, width: float, height: float) -> str:
    """A rectangle with a light casing under it, clipped to the picture so that it stays visible.

    What a question asks about is drawn a little around it, for letters are small.
    """
    if css == "asked":
        box = (box[0] - 2, box[1] - 2, box[2] + 2, box[3] + 2)
    x1, x2 = (min(max(x, 0.0), width) for x in (box[0], box[2]))
    y1, y2 = (min(max(y, 0.0), height) for y in (box[1], box[3]))
    place = f'x="{x1:.1f}" y="{y1:.1f}" width="{max(x2 - x1, 0.5):.1f}" height="{max(y2 - y1, 0.5):.1f}"'
    casing = "asked-casing" if css == "asked" else "casing"
    return f'<rect class="{casing}" {place}/><rect class="{css}" {place}/>'


def _cross(css: str, x: float, y: float, width: float, height: float) -> str:
    x, y = min(max(x, 0.0), width), min(max(y, 0.0), height)
    arm = 0.045 * max(width, height)
    path = f'd="M{x - arm:.1f} {y:.1f}H{x + arm:.1f}M{x:.1f} {y - arm:.1f}V{y + arm:.1f}"'
    ring = f'cx="{x:.1f}" cy="{y:.1f}" r="{arm * 0.55:.1f}"'
    return "".join(f'<path class="{name}" {path}/><circle class="{name}" {ring}/>' for name in ("casing", css))


def picture_overlay(
    picture: Embedded,
    size: tuple[float, float],
    truth: Geometry,
    said: Sequence[tuple[Geometry, str]],
    title: str,
) -> Markup:
    """The picture as SVG with true boxes dashed and each said box or point solid.

    Args:
        picture: The embedded picture.
        size: Width and height in pixels of the picture as the model saw it: the unit of all coordinates.
        truth: What is right.
        said: What was said, each with its CSS class (``said``, or ``said better``/``said worse`` for rollouts).
        title: For screen readers.
    """
    width, height = size
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
        place = f"left:{100 * start:.2f}%;width:{max(100 * (end - start), 0.8):.2f}%"
        return f'<span class="bar {css}"><i style="{place}"></i></span>'

    bars = [bar("truth", truth.span)] if truth.span else []
    bars += [bar(css, geometry.span) for geometry, css in said if geometry.span]
    axis = "".join(f"<span>{round(share * seconds, 1):g} s</span>" for share in (0, 0.5, 1)) if bars else ""
    return Markup(
        f'<div class="clip" role="img" aria-label="{escape(title)}"><img src="{clip.uri}" alt="" '
        f'width="{clip.width}" height="{clip.height}">{"".join(bars)}'
        + (f'<span class="times">{axis}</span>' if axis else "")
        + "</div>"
    )
