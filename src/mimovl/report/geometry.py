"""What an answer points at (boxes, a point, a span of time), for drawing: exactly what the graders read from it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from mimovl.errors import DataError
from mimovl.verify.answer import THINK_CLOSE, THINK_OPEN, Answer, read_answer, split_thought
from mimovl.verify.box import Box, gold_boxes, read_boxes
from mimovl.verify.point import read_points
from mimovl.verify.span import gold_span, read_span

__all__ = ["Geometry", "after_thought", "asked_about", "gold_geometry", "gold_text", "read_geometry", "thought_of"]

_MOST_SHAPES = 40
"""More than this many boxes or points are not drawn."""


@dataclass(frozen=True)
class Geometry:
    """Boxes and points in pixels of the picture, a span in seconds; all empty where the answer points at nothing."""

    boxes: tuple[Box, ...] = ()
    points: tuple[tuple[float, float], ...] = ()
    span: tuple[float, float] | None = None

    def __bool__(self) -> bool:
        return bool(self.boxes or self.points or self.span)


def thought_of(completion: str) -> str:
    """The text between the think tags, or all after an unclosed one; empty without a thought."""
    head, closed, _ = completion.rpartition(THINK_CLOSE)
    _, opened, thought = (head if closed else completion).partition(THINK_OPEN)
    return (thought if opened else head).strip()


def after_thought(completion: str) -> str:
    """The answer part; empty if a thought was begun and never closed."""
    return split_thought(completion) or ""


def gold_geometry(kind: str, answer: Any) -> Geometry:
    """The true boxes (``box``), the element to hit (``point``: its box) or the true span; empty if it is unusable."""
    try:
        if kind in ("box", "point"):
            return Geometry(boxes=tuple(gold_boxes(answer))[:_MOST_SHAPES])
        if kind == "span":
            return Geometry(span=gold_span(answer))
    except (DataError, TypeError, ValueError, OverflowError):
        pass
    return Geometry()


def read_geometry(kind: str, completion: str) -> Geometry:
    """What a completion points at, after its thought, for gold of ``kind``; unusable boxes and points are left out."""
    answer = read_answer(after_thought(completion))
    if answer is None:
        return Geometry()
    if kind == "box":
        return Geometry(boxes=tuple(box for box in read_boxes(answer) if box)[:_MOST_SHAPES])
    if kind == "point":
        return Geometry(points=tuple(point for point in read_points(answer)[0] if point)[:_MOST_SHAPES])
    return Geometry(span=read_span(answer)) if kind == "span" else Geometry()


def asked_about(prompt: str) -> Geometry:
    """The boxes that a question names, e.g. in "What is written in [18,8,46,19]?"."""
    return Geometry(boxes=tuple(box for box in read_boxes(Answer(prompt, boxed=False)) if box)[:_MOST_SHAPES])


def gold_text(kind: str, answer: Any) -> str:
    """A gold answer as a person would write it."""
    span = gold_geometry(kind, answer).span if kind == "span" else None
    if span:
        return "[" + ",".join(f"{int(at // 60):02d}:{at % 60:04.1f}".removesuffix(".0") for at in span) + "]"
    if isinstance(answer, str):
        return answer
    try:
        return json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError):
        return str(answer)
