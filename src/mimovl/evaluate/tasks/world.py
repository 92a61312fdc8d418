"""The tasks of the embedded world: perception is read off without thinking, arithmetic and visual reasoning think."""

from __future__ import annotations

from mimovl.evaluate.extras import MEAN_ABSOLUTE_ERROR, RECALL
from mimovl.evaluate.task import Task

__all__ = ["WORLD_TASKS"]

_EXACT = {"text": {"metric": "exact"}}
_ACC_50 = {"box": {"metric": "accuracy", "threshold": 0.5}}

WORLD_TASKS: tuple[Task, ...] = (
    Task("caption", "token F1", binary=False, options={"text": {"metric": "f1"}}),
    Task("attributes", "accuracy", options=_EXACT),
    Task("counting", "accuracy", extras=(MEAN_ABSOLUTE_ERROR,)),
    Task("grounding", "Acc@0.5", options=_ACC_50, extras=(RECALL,)),
    Task("multi_grounding", "mean IoU", binary=False, options={"box": {"metric": "iou"}}, extras=(RECALL,)),
    Task("gui_point", "accuracy"),
    Task("ocr", "1 - edit distance", binary=False, options={"text": {"metric": "edit"}}),
    Task("ocr_box", "accuracy", options={**_EXACT, **_ACC_50}),
    Task("clip_span", "mean IoU", binary=False, options={"span": {"metric": "iou"}}),
    Task("arithmetic", "accuracy", headline="thinking"),
    Task("visual_reasoning", "accuracy", headline="thinking", options=_EXACT),
)
"""In the order of the report. They take any sample of their task name, whatever its source."""
