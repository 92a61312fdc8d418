"""Which boxes can be believed: each is used, or rejected with a reason.

Reasons: no_class_name, unreadable_box, not_finite, flipped_box, empty_box, outside_picture, tiny_box,
covers_everything, duplicate_box.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mimovl.curate.grounding.convert import Box

__all__ = ["REASONS", "Limits", "check_boxes"]

REASONS = (
    "no_class_name",
    "unreadable_box",
    "not_finite",
    "flipped_box",
    "empty_box",
    "outside_picture",
    "tiny_box",
    "covers_everything",
    "duplicate_box",
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What is still a box."""

    overhang: float = 1.0
    """Pixels a box may reach over the border, where it is cut: rounding, not error."""
    least_side: float = 4.0
    """Shortest side, pixels: less is a slip of the hand."""
    most_area: float = 0.98
    """Largest share of the picture: more says nothing about where."""
    same: float = 0.95
    """Overlap (IoU) from which two boxes of one class are the same object, annotated twice."""


def check_boxes(
    objects: Sequence[tuple[str, Box | None]], size: tuple[int, int], limits: Limits | None = None
) -> list[Box | tuple[str, str]]:
    """Each object's box, cut at the border, or the reason and detail why it is rejected; in order.

    Args:
        objects: class name and box (None: it could not be read) of each, in pixels of the picture.
        size: its width and height.
        limits: what is still a box.
    """
    limits = limits or Limits()
    results: list[Box | tuple[str, str]] = []
    kept: dict[str, list[Box]] = {}
    for label, box in objects:
        problem = _problem(label, box, size, limits)
        if problem is not None or box is None:
            results.append(problem or ("unreadable_box", "its box could not be read"))
            continue
        cut = (max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(size[0])), min(box[3], float(size[1])))
        same = kept.setdefault(label, [])
        twin = next((other for other in same if _iou(cut, other) >= limits.same), None)
        if twin is not None:
            results.append(("duplicate_box", f"{_written(box)} of {label!r} is {_written(twin)} once more"))
            continue
        same.append(cut)
        results.append(cut)
    return results


def _problem(label: str, box: Box | None, size: tuple[int, int], limits: Limits) -> tuple[str, str] | None:
    if not label.strip():
        return "no_class_name", "it has no name"
    if box is None:
        return "unreadable_box", "its box could not be read"
    if not all(map(math.isfinite, box)):
        return "not_finite", f"{_written(box)} holds what is no number"
    x1, y1, x2, y2 = box
    if x2 < x1 or y2 < y1:
        return "flipped_box", f"{_written(box)} ends before it begins"
    if x2 == x1 or y2 == y1:
        return "empty_box", f"{_written(box)} has no area"
    over = max(-x1, -y1, x2 - size[0], y2 - size[1])
    if over > limits.overhang:
        return "outside_picture", f"{_written(box)} reaches {over:g} pixels out of the picture of {size[0]}×{size[1]}"
    wide, tall = min(x2, size[0]) - max(x1, 0), min(y2, size[1]) - max(y1, 0)
    if min(wide, tall) < limits.least_side:
        return "tiny_box", f"{_written(box)} is {wide:g}×{tall:g} pixels; the least is {limits.least_side:g}"
    share = wide * tall / (size[0] * size[1])
    if share > limits.most_area:
        return "covers_everything", f"{_written(box)} is {share:.1%} of the picture; the most is {limits.most_area:.1%}"
    return None


def _iou(first: Box, second: Box) -> float:
    wide = min(first[2], second[2]) - max(first[0], second[0])
    tall = min(first[3], second[3]) - max(first[1], second[1])
    if wide <= 0 or tall <= 0:
        return 0.0
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return wide * tall / (areas - wide * tall)


def _written(box: Box) -> str:
    return f"[{', '.join(f'{side:g}' for side in box)}]"
