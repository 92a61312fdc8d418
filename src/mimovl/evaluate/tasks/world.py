"""The tasks of the embedded world: perception is read off without thinking, arithmetic and visual reasoning think."""

from __future__ import annotations

from mimovl.evaluate.extras import MEAN_ABSOLUTE_ERROR, RECALL
from mimovl.evaluate.task import Mode, Task

__all__ = ["WORLD_TASKS"]

_EXACT = {"text": {"metric": "exact"}}
_ACC_50 = {"box": {"metric": "accuracy", "threshold": 0.5}}
_SHORT: dict[Mode, int] = {"no_think": 96, "thinking": 224}
_LONG: dict[Mode, int] = {**_SHORT, "no_think": 160}
"""Longest answers: well above the world's own, so that a tiny model that never stops does not cost minutes."""

WORLD_TASKS: tuple[Task, ...] = (
    Task("caption", "token F1", binary=False, options={"text": {"metric": "f1"}}, max_tokens=_LONG),
    Task("attributes", "accuracy", options=_EXACT, max_tokens=_SHORT),
    Task("counting", "accuracy", extras=(MEAN_ABSOLUTE_ERROR,), max_tokens=_SHORT),
    Task("grounding", "Acc@0.5", options=_ACC_50, extras=(RECALL,), max_tokens=_SHORT),
    Task(
        "multi_grounding",
        "mean IoU",
        binary=False,
        options={"box": {"metric": "iou"}},
        extras=(RECALL,),
        max_tokens=_LONG,
    ),
    Task("gui_point", "accuracy", max_tokens=_SHORT),
    Task("ocr", "1 - edit distance", binary=False, options={"text": {"metric": "edit"}}, max_tokens=_LONG),
    Task("ocr_box", "accuracy", options={**_EXACT, **_ACC_50}, max_tokens=_SHORT),
    Task("clip_span", "mean IoU", binary=False, options={"span": {"metric": "iou"}}, max_tokens=_SHORT),
    Task("clip_events", "accuracy", options=_EXACT, max_tokens=_SHORT),
    Task("arithmetic", "accuracy", headline="thinking", max_tokens=_SHORT),
    Task("visual_reasoning", "accuracy", headline="thinking", options=_EXACT, max_tokens=_SHORT),
)
"""In the order of the report. They take any sample of their task name, whatever its source."""
