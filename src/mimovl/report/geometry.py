"""What an answer points at (boxes, a point, a span of time), read for drawing only; grading is ``mimovl.verify``'s.

Model output is not trusted: numbers that are not finite or lie far outside the picture are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mimovl.report.format import finite

__all__ = ["Box", "Geometry", "after_thought", "gold_geometry", "gold_text", "read_geometry", "thought_of"]

Box = tuple[float, float, float, float]
_NUMBER = r"\s*(-?\d{1,6}(?:\.\d{1,6})?)\s*"
_FOUR = re.compile(r"\[" + ",".join([_NUMBER] * 4) + r"\]")
_TWO = re.compile(r"[\[(]" + ",".join([_NUMBER] * 2) + r"[\])]")
_CLOCK = r"\s*(?:(\d{1,3}):)?(\d{1,4}):(\d{1,2}(?:\.\d{1,6})?)\s*"
_SPAN = re.compile(r"\[" + _CLOCK + r"[,\-–]" + _CLOCK + r"\]")
_MOST_SHAPES = 40


@dataclass(frozen=True)
class Geometry:
    """Boxes and points in pixels of the picture, a span in seconds; all empty where the answer points at nothing."""

    boxes: tuple[Box, ...] = ()
    points: tuple[tuple[float, float], ...] = ()
    span: tuple[float, float] | None = None

    def __bool__(self) -> bool:
        return bool(self.boxes or self.points or self.span)


def thought_of(completion: str) -> str:
    """The text between the think tags, or all after an unclosed ``<think>``; empty without one."""
    head, closed, _ = completion.partition("</think>")
    _, opened, thought = head.partition("<think>")
    return (thought if opened else head if closed else "").strip()


def after_thought(completion: str) -> str:
    """The answer part: what follows ``</think>``; nothing if a thought was begun and never closed."""
    head, closed, rest = completion.partition("</think>")
    return (rest if closed else "" if "<think>" in head else completion).strip()


def _box(values: Iterable[Any]) -> Box | None:
    numbers = [finite(value) for value in values]
    if len(numbers) != 4 or any(number is None or abs(number) > 100_000 for number in numbers):
        return None
    x1, y1, x2, y2 = (float(number or 0.0) for number in numbers)
    return (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))


def gold_geometry(kind: str, answer: Any) -> Geometry:
    """The true boxes (``box``), the element to hit (``point``: its box) or the true span, from a gold answer."""
    if not isinstance(answer, list | tuple):
        return Geometry()
    if kind == "span":
        numbers = [finite(value) for value in answer]
        if len(numbers) == 2 and numbers[0] is not None and numbers[1] is not None:
            return Geometry(span=(numbers[0], numbers[1]))
    if kind in ("box", "point"):
        listed = answer if answer and isinstance(answer[0], list | tuple) else [answer]
        boxes = [_box(box) for box in listed if isinstance(box, list | tuple)]
        return Geometry(boxes=tuple(box for box in boxes if box)[:_MOST_SHAPES])
    return Geometry()


def read_geometry(kind: str, completion: str) -> Geometry:
    """What a completion points at, after its thought, for gold of ``kind``."""
    text = after_thought(completion)[-20_000:]
    if kind == "span":
        spans = list(_SPAN.finditer(text))
        if spans:
            parts = [float(part or 0) for part in spans[-1].groups()]
            start, end = (3600 * h + 60 * m + s for h, m, s in (parts[:3], parts[3:]))
            return Geometry(span=(start, end))
    if kind == "box":
        boxes = [_box(map(float, found.groups())) for found in _FOUR.finditer(text)]
        return Geometry(boxes=tuple(box for box in boxes if box)[:_MOST_SHAPES])
    if kind == "point":
        pairs = [(float(x), float(y)) for x, y in _TWO.findall(text)]
        if pairs:
            return Geometry(points=(pairs[-1],))
        boxes = [_box(map(float, found.groups())) for found in _FOUR.finditer(text)]
        return Geometry(points=tuple(((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in boxes[:1] if b))
    return Geometry()


def gold_text(kind: str, answer: Any) -> str:
    """A gold answer as a person would write it."""
    if kind == "span":
        span = gold_geometry(kind, answer).span
        if span:
            return "[" + ",".join(f"{int(at // 60):02d}:{at % 60:02.0f}" for at in span) + "]"
    if isinstance(answer, str):
        return answer
    try:
        return json.dumps(answer, ensure_ascii=False, separators=(",", " "))
    except (TypeError, ValueError):
        return str(answer)
