"""Tasks for samples of one's own: by the kind of their gold when no known task has their name."""

from __future__ import annotations

import dataclasses
from typing import Any

from mimovl.errors import DataError
from mimovl.evaluate.extras import MEAN_ABSOLUTE_ERROR, RECALL
from mimovl.evaluate.task import Task
from mimovl.suggest import nearest
from mimovl.types import Gold
from mimovl.verify import KINDS

__all__ = ["task_for_gold"]

_BY_KIND: dict[str, Task] = {
    "choice": Task("choice", "accuracy"),
    "number": Task("number", "accuracy", headline="thinking"),
    "math": Task("math", "accuracy", headline="thinking"),
    "box": Task("box", "Acc@0.5", options={"box": {"metric": "accuracy", "threshold": 0.5}}, extras=(RECALL,)),
    "point": Task("point", "accuracy"),
    "count": Task("count", "accuracy", extras=(MEAN_ABSOLUTE_ERROR,)),
    "span": Task("span", "mean IoU", binary=False, options={"span": {"metric": "iou"}}),
    "text": Task("text", "accuracy"),
    "action": Task("action", "step accuracy"),
    "json": Task("json", "accuracy"),
    "format": Task("format", "mean score", binary=False),
    "repetition": Task("repetition", "mean score", binary=False),
    "length": Task("length", "mean score", binary=False),
}
_MANY_BOXES = Task("box", "mean IoU", binary=False, options={"box": {"metric": "iou"}}, extras=(RECALL,))
_TEXT_METRICS = {
    "exact": "accuracy",
    "edit": "1 - edit distance",
    "anls": "ANLS",
    "relaxed": "relaxed accuracy",
    "f1": "token F1",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
}


def task_for_gold(name: str, gold: Gold) -> Task:
    """Make a task that scores samples with gold answers like this one.

    Boxes are Acc@0.5, lists of several boxes mean IoU; a text keeps the metric its gold names.

    Raises:
        DataError: the kind is unknown.
    """
    if gold.kind not in KINDS:
        kinds = ", ".join(KINDS)
        raise DataError(
            f"task {name!r} has gold of unknown kind {gold.kind!r}, not one of {kinds}{nearest(gold.kind, KINDS)}"
        )
    task = _BY_KIND[gold.kind]
    if gold.kind == "box" and _several(gold.answer):
        task = _MANY_BOXES
    if gold.kind == "text":
        metric = str(gold.options.get("metric", "exact"))
        binary = metric in ("exact", "relaxed")
        task = dataclasses.replace(task, metric=_TEXT_METRICS.get(metric, metric), binary=binary)
    return dataclasses.replace(task, name=name)


def _several(answer: Any) -> bool:
    return len(answer) > 1 and not isinstance(answer[0], int | float)
