"""Grade one step on a screen: the type of the action and its arguments (MiMo-VL appendix D; step accuracy).

A point is right inside the gold action's target ("bbox", one box or several) or, without a target, near the gold point.
Texts compare without case and surrounding spaces, keys in order. An answer with two different actions has not chosen.
Departs from the paper's suite, which lets a text pass that is part of the gold text or contains it, takes a wrong point
within 4 % of the screen although it knows the target, and never looks at ``status``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from mimovl.errors import DataError
from mimovl.types import Verdict
from mimovl.verify.action_space import ACTIONS, field_fault, valid_point
from mimovl.verify.answer import no_answer, read_answer, verdict
from mimovl.verify.box import Box, gold_boxes
from mimovl.verify.json_value import read_json_values

__all__ = ["ActionMetric", "gold_action", "near", "read_actions", "verify_action"]

ActionMetric = Literal["step", "type"]

RADIUS = 28.0
"""Pixels, one merged patch: how far from the gold point a point may lie when no target is given."""
SHARE_OF_SCREEN = 0.04
"""The same with a known screen, as a share of it (the suite's rule)."""


def verify_action(
    text: str,
    gold: Any,
    *,
    metric: ActionMetric = "step",
    radius: float = RADIUS,
    size: Sequence[float] | None = None,
) -> Verdict:
    """Score 1 when an answer takes the gold action, else 0.

    Args:
        text: the answer, without the thought; JSON as ``{"action":"click","start_point":[x,y]}``, alone or in a list.
        gold: the action as a mapping or JSON text; "bbox" gives the target of its start point.
        metric: "step", type and arguments; "type", the type alone.
        radius: pixels within which a point without a target is right.
        size: width and height of the screen; then a point is near within 0.04 of it instead of ``radius``.

    Raises:
        DataError: the gold is no action of the space, a field of it is faulty, or the metric is unknown.
    """
    if metric not in ("step", "type"):
        raise DataError(f"unknown action metric {metric!r}; choose 'step' or 'type'")
    expected = gold_action(gold)
    answer = read_answer(text)
    actions = read_actions(answer.text) if answer else []
    if not actions:
        return no_answer("no action")
    shown = json.dumps(actions[0] if len(actions) == 1 else actions, ensure_ascii=False)
    if len(actions) > 1:
        return verdict(0.0, correct=False, answer=shown, rule="more than one action")
    given = actions[0]
    name = str(given.get("action", "")).lower()
    if name != expected["action"]:
        fault = f"no such action: {name[:40]}" if name not in ACTIONS else "another action"
        return verdict(0.0, correct=False, answer=shown, rule=fault)
    if metric == "type":
        return verdict(1.0, correct=True, answer=shown, rule="type")
    fault = field_fault(given) or _argument_fault(given, expected, radius, size)
    return verdict(float(not fault), correct=not fault, answer=shown, rule=fault or "type and arguments")


def read_actions(text: str) -> list[dict[str, Any]]:
    """The different actions of a text: JSON objects with a field "action", alone or in lists."""
    found: list[dict[str, Any]] = []
    for value in read_json_values(text):
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict) and isinstance(one.get("action"), str) and one not in found:
                found.append(one)
    return found


def gold_action(gold: Any) -> dict[str, Any]:
    """Read a gold action; its name comes back in lower case.

    Raises:
        DataError: it is no action of the space, or a field is missing or faulty.
    """
    value = gold
    if isinstance(gold, str):
        try:
            value = json.loads(gold)
        except ValueError:
            value = None
    if not isinstance(value, Mapping):
        raise DataError(
            f"gold answer {str(gold)[:80]!r} is no action; give {{'action': 'click', 'start_point': [x, y]}}"
        )
    action = dict(value)
    action["action"] = str(action.get("action", "")).lower()
    fault = field_fault(action if "bbox" not in action else {"start_point": [0, 0], **action})
    if fault:
        raise DataError(f"gold answer {str(gold)[:80]!r}: {fault}; the actions are {', '.join(ACTIONS)}")
    if "bbox" in action:
        gold_boxes(action["bbox"])
    return action


def _argument_fault(
    given: Mapping[str, Any], expected: Mapping[str, Any], radius: float, size: Sequence[float] | None
) -> str:
    fields = ACTIONS[expected["action"]]
    for field in (*fields.required, *fields.optional):
        if field in ("scroll_distance",):
            continue  # how far is not compared: no source says in what unit
        wanted, value = expected.get(field), given.get(field)
        if field == "start_point" and expected.get("bbox") is not None:
            point = valid_point(value)
            if point is None:
                if field in fields.required:
                    return "start_point is missing"
            elif not any(inside(point, box) for box in gold_boxes(expected["bbox"])):
                return "start_point outside of the target"
            continue
        if wanted is None:
            continue
        if value is None:
            if field in fields.required or field in ("status", "app"):
                return f"{field} is missing"
            continue
        if field.endswith("_point"):
            if not near(valid_point(value), valid_point(wanted), radius, size):
                return f"{field} too far away"
        elif field == "text" and expected["action"] == "click":
            continue  # a click's text only says what is there
        elif _normal(value) != _normal(wanted):
            return f"another {field}"
    return ""


def inside(point: tuple[float, float], box: Box) -> bool:
    """Whether a point lies in a box or on its edge."""
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]


def near(
    first: tuple[float, float] | None,
    second: tuple[float, float] | None,
    radius: float,
    size: Sequence[float] | None,
) -> bool:
    """Whether two points lie within the radius, or within 0.04 of a screen of known size."""
    if first is None or second is None:
        return False
    x, y = first[0] - second[0], first[1] - second[1]
    if size is not None:
        x, y, radius = x / size[0], y / size[1], SHARE_OF_SCREEN
    return x * x + y * y <= radius * radius


def _normal(value: Any) -> Any:
    if isinstance(value, str):
        return [" ".join(value.casefold().split())]
    if isinstance(value, list):
        return [" ".join(str(one).casefold().split()) for one in value]
    return [value]
