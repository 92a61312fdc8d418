"""What a bare gold answer means: which kind grades it, by the name of its task.

A ``Sample`` carries its ``Gold`` with kind and options. Over HTTP and in other people's datasets a gold answer often
stands alone: ``{"task": "counting", "gold": 3}``. Its kind is, in this order: the one said beside it; the one inside it
(``{"kind": "count", "answer": 3}``); the one configured for its task; the task itself where it is the name of a kind;
the one below.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mimovl.errors import DataError
from mimovl.suggest import nearest
from mimovl.types import Gold
from mimovl.verify import KINDS

__all__ = ["TASK_KINDS", "read_gold"]

TASK_KINDS: Mapping[str, str] = {
    **{kind: kind for kind in KINDS},
    "text_reasoning": "math",
    "arithmetic": "number",
    "counting": "count",
    "grounding": "box",
    "multi_grounding": "box",
    "gui_point": "point",
    "gui_action": "action",
    "temporal_grounding": "span",
    "clip_span": "span",
    "ocr": "text",
    "attributes": "text",
}
"""Task → kind of its gold answers. Tasks with answers of several kinds (visual_reasoning) must say each one's."""

STRUCTURED = ("box", "point", "span", "action")
"""Kinds whose gold answers are no texts: one that is comes from a column of strings, and is read as JSON."""


def read_gold(
    task: str,
    gold: Any,
    kind: str | None = None,
    options: Mapping[str, Any] | None = None,
    kinds: Mapping[str, str] | None = None,
    *,
    needed: bool = True,
) -> Gold | None:
    """Make a ``Gold`` of an answer as others write it.

    Args:
        task: the capability, e.g. counting.
        gold: the answer alone; or ``{"kind", "answer", "options"}``, also as a JSON string, where ``kind`` is None.
            Arrays of numpy, which parquet files become elsewhere, are taken as lists.
        kind: how it is graded; the answer is then taken as it stands.
        options: of its grader.
        kinds: task → kind, before those of ``TASK_KINDS``.
        needed: False where the task may have a reward of its own: without an answer there is no gold then, and a
            task that says no kind is its own kind.

    Raises:
        DataError: there is no answer, or nothing says its kind; names the field.
    """
    try:
        gold = _plain(gold)
    except RecursionError:
        raise DataError("field gold: nested too deeply to be an answer") from None
    inner = _whole(gold) if kind is None else None
    if inner is not None:
        inner_options = inner.get("options") or {}
        if not isinstance(inner_options, Mapping):
            raise DataError(f"field gold.options: {inner_options!r} is not a mapping")
        return Gold(str(inner["kind"]), inner["answer"], {**inner_options, **(options or {})})
    if gold is None:
        if not needed:
            return None
        raise DataError(f"field gold: task {task!r} is graded against a gold answer and there is none")
    known = {**TASK_KINDS, **(kinds or {})}
    found = kind or known.get(task)
    if found is None:
        if not needed:
            return Gold(task, gold, dict(options or {}))
        raise DataError(
            f"field task: unknown task {task!r}{nearest(task, list(known))}; known are {', '.join(known)}; "
            "or say in the field kind how its gold answer is graded"
        )
    return Gold(found, _unpacked(gold) if found in STRUCTURED else gold, dict(options or {}))


def _unpacked(gold: Any) -> Any:
    """A structure that a column of strings holds as JSON."""
    if isinstance(gold, str) and gold.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(gold)
        except (ValueError, RecursionError):
            return gold
    return gold


def _plain(gold: Any) -> Any:
    """Arrays and numbers of numpy as Python has them, also within lists and mappings."""
    if hasattr(gold, "tolist"):
        return _plain(gold.tolist())
    if isinstance(gold, list | tuple):
        return [_plain(value) for value in gold]
    return {key: _plain(value) for key, value in gold.items()} if isinstance(gold, dict) else gold


def _whole(gold: Any) -> Mapping[str, Any] | None:
    """The gold as a mapping with kind and answer; None if it is an answer alone."""
    if isinstance(gold, str) and gold.lstrip().startswith("{"):
        try:
            gold = json.loads(gold)
        except (ValueError, RecursionError):
            return None
    if isinstance(gold, Mapping) and {"kind", "answer"} <= gold.keys() <= {"kind", "answer", "options"}:
        return gold
    return None
