"""Grade a point: 1 when it lies in the gold box, else 0 (MiMo-VL §3.1, GUI grounding).

The point is the ``start_point`` of an action, a ``point_2d``, a bare ``[x,y]``, or the centre of a predicted box
("Center Acc", §4.1). One point is an answer; two different ones are a hedge and wrong.
"""

from __future__ import annotations

import re
from typing import Any

from mimovl.types import Verdict
from mimovl.verify.answer import Answer, no_answer, plain, read_answer, to_ascii, verdict
from mimovl.verify.box import MAX_CHARS, MAX_COORDINATE, gold_boxes, read_boxes, read_numbers

__all__ = ["read_points", "verify_point"]

_ACTION = re.compile(r"[\"']start_point[\"']\s*:\s*[\[(]([^\[\]()]*)[\])]")
_NAMED = re.compile(
    r"(?<![a-z])x\s?[=:]\s?(-?\d{1,7}(?:\.\d{1,9})?)[\s,;]{1,9}(?:and\s)?y\s?[=:]\s?(-?\d{1,7}(?:\.\d{1,9})?)",
    re.IGNORECASE | re.ASCII,
)
_POINT = re.compile(r"[\"'](?:point_2d|point)[\"']\s*:\s*[\[(]([^\[\]()]*)[\])]")
_BARE = re.compile(r"[\[(]([^\[\]()]*)[\])]")


def verify_point(text: str, gold: Any) -> Verdict:
    """Score 1 when the one point of an answer lies in the gold box (borders included).

    Args:
        text: the answer, without the thought.
        gold: the box [x1,y1,x2,y2] in pixels, or a list of boxes any of which will do.

    Raises:
        DataError: the gold is not a box or list of boxes.
    """
    boxes = gold_boxes(gold)
    answer = read_answer(text)
    points, rule = read_points(answer) if answer else ([], "")
    if not points:
        return no_answer("no point")
    shown = " ".join("invalid" if point is None else f"[{point[0]:g},{point[1]:g}]" for point in points[:20])
    if len(set(points)) > 1:
        return verdict(0.0, correct=False, answer=shown, rule="more than one point")
    point = points[0]
    right = point is not None and any(x1 <= point[0] <= x2 and y1 <= point[1] <= y2 for x1, y1, x2, y2 in boxes)
    return verdict(float(right), correct=right, answer=shown, rule=rule)


def read_points(answer: Answer) -> tuple[list[tuple[float, float] | None], str]:
    """The points of an answer and the form they were read from; None stands for one that is unusable."""
    text = to_ascii(plain(answer.text[-MAX_CHARS:]))
    for pattern, rule in ((_ACTION, "start_point"), (_POINT, "point_2d")):
        keyed = [_point(read_numbers(match[1])) for match in pattern.finditer(text)]
        if keyed:
            return keyed, rule
    boxes = read_boxes(answer)
    if boxes:
        return [box and ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) for box in boxes], "centre of box"
    named = _NAMED.findall(text)
    if named:
        return [_point([float(x), float(y)]) for x, y in named], "named coordinates"
    bare = [numbers for match in _BARE.finditer(text) if (numbers := read_numbers(match[1])) and len(numbers) == 2]
    if not bare and (numbers := read_numbers(text.strip(". \n"))) and len(numbers) == 2:
        bare = [numbers]
    return [_point(numbers) for numbers in bare], "bare point"


def _point(numbers: list[float] | None) -> tuple[float, float] | None:
    if numbers is None or len(numbers) != 2 or not all(abs(number) <= MAX_COORDINATE for number in numbers):
        return None
    return numbers[0], numbers[1]
