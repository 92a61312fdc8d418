"""Pictures with annotated objects, whatever file said so: checked boxes as ``meta["objects"]`` of a record.

    {"objects": [{"label": "cup", "box": [x1, y1, x2, y2]}], "size": [width, height], "doubtful": ["dog"]}

Boxes are pixels of the upright picture as it is stored, cut at its border. ``doubtful`` names classes of which an
object could not be used, so that their number is not known; ``""`` stands for any class.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from mimovl.types import Media, Message, Part, Sample

__all__ = ["box_problem", "objects_record"]

Box = tuple[float, float, float, float]


def objects_record(
    name: str,
    media: Media,
    objects: Iterable[tuple[str, Box]],
    doubtful: Iterable[str],
    *,
    source: str,
    texts: Iterable[str] = (),
    meta: Mapping[str, Any] | None = None,
) -> Sample:
    """A picture with its objects as a record without a question.

    Args:
        name: its id.
        media: the picture.
        objects: label and box of each.
        doubtful: classes whose number is not known.
        source: ``Sample.source``.
        texts: captions; the first becomes the record's text, all are kept in ``meta["captions"]``.
        meta: what else is known.
    """
    captions = list(texts)
    parts = [Part("image", media=media.sha256), *(Part("text", text=text) for text in captions[:1])]
    found = {
        **(meta or {}),
        "objects": [{"label": label, "box": [round(side, 3) for side in box]} for label, box in objects],
        "doubtful": sorted(set(doubtful)),
        "size": [media.width, media.height],
    }
    if captions:
        found["captions"] = captions
    return Sample(name, (Message("assistant", tuple(parts)),), {media.sha256: media}, "objects", source, meta=found)


def box_problem(label: str, box: Box | None, width: int, height: int) -> tuple[str, str] | None:
    """Reason and detail why an object cannot be used; None when it can."""
    if not label:
        return "no_class_name", "it has no name"
    if box is None or not all(map(math.isfinite, box)):
        return "unreadable_box", "its box lacks four finite numbers"
    x1, y1, x2, y2 = box
    written = f"box [{x1:g}, {y1:g}, {x2:g}, {y2:g}]"
    if x2 < x1 or y2 < y1:
        return "flipped_box", f"{written} ends before it begins"
    if x2 == x1 or y2 == y1:
        return "empty_box", f"{written} has no area"
    if x1 >= width or y1 >= height or x2 <= 0 or y2 <= 0:
        return "outside_picture", f"{written} lies outside the picture of {width}×{height}"
    return None
