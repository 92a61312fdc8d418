"""The twelve actions on a screen (MiMo-VL appendix D, table 5): their names, fields and what a field may hold."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

__all__ = ["ACTIONS", "ActionFields", "field_fault", "valid_point"]

DIRECTIONS = ("up", "down", "left", "right")


class ActionFields(NamedTuple):
    """The fields an action must have and those it may have."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


ACTIONS: dict[str, ActionFields] = {
    "click": ActionFields(("start_point",), ("text",)),
    "scroll": ActionFields(("direction",), ("scroll_distance", "start_point")),
    "input": ActionFields(("text",), ("start_point",)),
    "drag": ActionFields(("start_point", "end_point")),
    "open": ActionFields(("app",)),
    "press": ActionFields(("keys",)),
    "finished": ActionFields((), ("status",)),
    "longpress": ActionFields(("start_point",)),
    "hover": ActionFields((), ("start_point",)),
    "select": ActionFields(("text",), ("start_point",)),
    "wait": ActionFields(),
    "appswitch": ActionFields((), ("app",)),
}
"""Name → fields. Points are [x, y] in pixels of the smart-resized screenshot. Scrolling up shows what lies below."""


def valid_point(value: Any) -> tuple[float, float] | None:
    """A point of two finite numbers, else None."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in value):
        return None
    x, y = (float(number) if abs(number) < 1e300 else math.inf for number in value)
    return (x, y) if abs(x) <= 1e6 and abs(y) <= 1e6 else None


def field_fault(action: dict[str, Any]) -> str:
    """What is wrong with an action's name or fields; empty if nothing is. Fields of other actions are passed over."""
    name = str(action.get("action", "")).lower()
    if name not in ACTIONS:
        return f"no such action: {name[:40]}"
    for field in (*ACTIONS[name].required, *ACTIONS[name].optional):
        value = action.get(field)
        if value is None:
            if field in ACTIONS[name].required:
                return f"{field} is missing"
            continue
        if field.endswith("_point") and valid_point(value) is None:
            return f"{field} is no point"
        if field in ("text", "app", "status") and not isinstance(value, str):
            return f"{field} is no text"
        if field == "direction" and str(value).lower() not in DIRECTIONS:
            return "direction is none of up, down, left, right"
        if field == "keys" and not _keys(value):
            return "keys is no list of keys"
    return ""


def _keys(value: Any) -> bool:
    keys = [value] if isinstance(value, str) else value
    return isinstance(keys, list) and bool(keys) and all(isinstance(key, str) and key.strip() for key in keys)
