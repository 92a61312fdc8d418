r"""What the paper's suite reads from a completion: the last ``\boxed{}`` of one level, the first box, point or span."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = [
    "drag_direction",
    "first_box",
    "first_point",
    "first_span",
    "last_boxed",
    "parse_choice",
    "read_suite_action",
]

_BOXED = re.compile(r"\\boxed\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}")


def last_boxed(text: str) -> str:
    r"""The content of the last ``\boxed{}`` with at most one level of braces inside, else the whole text."""
    found = None
    for match in _BOXED.finditer(text):
        found = match[1]
    return text if found is None else found


_N = r"(-?\d{1,15}(?:\.\d{1,15})?)"
_SQUARE = re.compile(rf"\[\s*{_N},\s*{_N},\s*{_N},\s*{_N}\s*\]")
_ROUND = re.compile(rf"\(\s*{_N},\s*{_N},\s*{_N},\s*{_N}\s*\)")
_LABELLED = [re.compile(rf"{corner} {axis}:?\s*{_N}") for corner in ("top-left", "bottom-right") for axis in "xy"]
_POINTS = (re.compile(rf"\[\s*{_N},\s*{_N}\s*\]"), re.compile(rf"\(\s*{_N},\s*{_N}\s*\)"))

Four = tuple[float, float, float, float]


def first_box(text: str) -> Four:
    """The first four numbers in brackets anywhere, thought included; zeros without any."""
    text = text.lower()
    match = _SQUARE.search(text) or _ROUND.search(text)
    if match:
        return float(match[1]), float(match[2]), float(match[3]), float(match[4])
    labelled = [pattern.search(text) for pattern in _LABELLED]
    values = [float(found[1]) for found in labelled if found]
    return (values[0], values[1], values[2], values[3]) if len(values) == 4 else (0, 0, 0, 0)


def first_point(text: str) -> tuple[float, float]:
    """The first two numbers in brackets; zeros without any."""
    for pattern in _POINTS:
        match = pattern.search(text.lower())
        if match:
            return float(match[1]), float(match[2])
    return 0.0, 0.0


_BOXED_SPAN = re.compile(r"\\boxed\{\[(\d{1,2}):(\d{1,2}),\s*(\d{1,2}):(\d{1,2})\]\}")
_SPAN = re.compile(r"\[(\d{1,2}):(\d{1,2}),\s*(\d{1,2}):(\d{1,2})\]")
_RANGE = re.compile(r"(\d{1,15}\.{0,3}\d{0,15})\s{0,9}-\s{0,9}(\d{1,15}\.{0,3}\d{0,15})")
_KEYWORDS = ("start", "end", "happen")
_NUMBER = re.compile(r"\b(\d{1,15}\.\d{1,15}\b|\b\d{1,15})\b")


def first_span(text: str) -> tuple[float, float]:
    """The first [mm:ss, mm:ss], boxed if the word boxed occurs at all; else "m - n" or times near start and end."""
    if "boxed" in text or "[" in text:
        match = (_BOXED_SPAN if "boxed" in text else _SPAN).search(text)
        if match is None:
            return 0.0, 0.0
        minutes = [int(group) for group in match.groups()]
        return 60.0 * minutes[0] + minutes[1], 60.0 * minutes[2] + minutes[3]
    text = text.lower().replace("to", "-")
    pairs: list[tuple[float, float]] = []
    try:
        pairs = [(float(one), float(two)) for one, two in _RANGE.findall(text)]
    except ValueError:
        return 0.0, 0.0
    if not pairs:
        sentences = [part for part in re.split(r"[!?\n]", text) if any(word in part for word in _KEYWORDS)]
        times = [float(found[1]) for part in sentences if (found := _NUMBER.search(part))]
        pairs = list(zip(times[::2], times[1::2], strict=False))
    if not pairs:
        return 0.0, 0.0
    return min(pairs[0]), max(pairs[0])


def parse_choice(text: str, letters: Sequence[str], options: Mapping[str, str]) -> str:
    """The option letter by MMMU's rules: (B), then "B " anywhere, then "B.", then an option's text; empty for none."""
    for mark in ",.!?;:'":
        text = text.strip(mark)
    text = f" {text} "
    for form, last in (("({})", "({})"), ("{} ", " {} "), ("{}.", " {} ")):
        found = [letter for letter in letters if form.format(letter) in text]
        if found:
            return max(found, key=lambda letter: text.rfind(last.format(letter))) if len(found) > 1 else found[0]
    lower = text.lower()
    if len(text.split()) > 5:
        found = [letter for letter in letters if options.get(letter) and options[letter].lower() in lower]
        if found:
            return max(found, key=lambda letter: lower.rfind(options[letter].lower()))
    return ""


def read_suite_action(text: str) -> dict[str, Any] | None:
    """The action of a fenced JSON block, or from the first {"action": to the last brace; None if it does not parse."""
    fenced = re.search(r"```json(.*)```", text, re.DOTALL)
    body = fenced[1].strip() if fenced else text[text.find('{"action":') : text.rfind("}") + 1]
    try:
        value = json.loads(body)
        action = dict(value[0] if isinstance(value, list) else value)
        name = action["action"]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None
    return action if isinstance(name, str) else None


def drag_direction(action: Mapping[str, Any]) -> str:
    """Where a drag goes mostly, which the suite takes for a scroll in that direction; empty if it cannot be told."""
    try:
        (x1, y1), (x2, y2) = action["start_point"], action["end_point"]
        x, y = float(x2) - float(x1), float(y2) - float(y1)
    except (KeyError, TypeError, ValueError):
        return ""
    if x == y == 0:
        return ""
    if abs(y) >= abs(x):
        return "down" if y > 0 else "up"
    return "right" if x > 0 else "left"
