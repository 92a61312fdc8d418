r"""The rules of the paper's evaluation suite (XiaomiMiMo/lmms-eval, June 2025; actions August 2025), to compare scores.

These are its rules and not good ones: a thought is searched like an answer, ``\boxed{}`` may nest once, the first four
numbers anywhere are the box, fractions of seconds are not read, and a choice that cannot be read is guessed. They are
here under their own name so that a score can be set beside the paper's, and are never mixed with ``strict``. Rewritten
from the suite's behaviour; where it draws at random, the draw depends on ``seed`` and the completion alone. Its GPT
judges are not part of it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mimovl.errors import DataError
from mimovl.types import Verdict
from mimovl.verify.action import gold_action
from mimovl.verify.answer import shown, verdict
from mimovl.verify.box import gold_boxes
from mimovl.verify.choice import gold_letter
from mimovl.verify.count import gold_count
from mimovl.verify.math_pool import shared_pool
from mimovl.verify.math_process import math_verify_installed
from mimovl.verify.mimo_compat_parse import (
    drag_direction,
    first_box,
    first_point,
    first_span,
    last_boxed,
    parse_choice,
    read_suite_action,
)
from mimovl.verify.numerals import gold_quantity
from mimovl.verify.span import gold_span
from mimovl.verify.text import gold_texts

__all__ = ["COMPAT_OPTIONS", "grade_like_the_suite"]

MAX_CHARS = 100_000
NUMBER_TOLERANCE = 0.001
RELAXED_CHANGE = 0.05
TAP_DISTANCE = 0.04
BOX_GROWTH = 1.2
NEAREST_BOXES = 5


def grade_like_the_suite(kind: str, completion: str, gold: Any, options: Mapping[str, Any]) -> Verdict:
    """Grade by the suite's rule of a kind.

    Args:
        kind: a kind of ``COMPAT_OPTIONS``.
        completion: all the model said; the suite does not set the thought apart.
        gold: the gold answer in the form of that kind.
        options: those of ``COMPAT_OPTIONS``, checked by the caller.

    Raises:
        DataError: the suite has no rule for the kind, or the gold is not of it.
    """
    if kind not in _RULES:
        raise DataError(f"the paper's suite has no rule for kind {kind!r}; grade it with mode 'strict'")
    score, answer, rule = _RULES[kind](completion[-MAX_CHARS:], gold, **options)
    return verdict(score, correct=score >= 0.5, answer=shown(str(answer)), rule=f"mimo_compat: {rule}")


Graded = tuple[float, Any, str]


def _math(completion: str, gold: Any) -> Graded:
    if not math_verify_installed():
        raise DataError("mode 'mimo_compat' grades math by Math-Verify; run: pip install 'mimovl[math]'")
    text = str(gold)
    if not text.strip() or isinstance(gold, bool):
        raise DataError(f"gold answer {gold!r} is not an expression")
    comparison = shared_pool().compare(text, completion.strip(), rule="suite")
    return float(comparison == "equal"), last_boxed(completion), f"Math-Verify {comparison}"


def _choice(completion: str, gold: Any, choices: Sequence[str] = (), seed: int = 0) -> Graded:
    expected = gold_letter(gold, choices)
    letters = [chr(ord("A") + index) for index in range(len(choices) or 4)]
    found = parse_choice(last_boxed(completion), letters, dict(zip(letters, map(str, choices), strict=False)))
    rule = "MMMU parser"
    if not found:
        found, rule = random.Random(f"{seed}:{completion}").choice(letters), "random guess"
    return float(found == expected), found, rule


def _count(completion: str, gold: Any) -> Graded:
    given = last_boxed(completion).strip().lower()
    return float(given == str(gold_count(gold))), given, "string equality"


def _number(completion: str, gold: Any) -> Graded:
    given = last_boxed(completion).split(" ")[0]
    try:
        value = float(given.split("π")[0]) * (3.141592653589793 if "π" in given else 1.0)
    except (ValueError, OverflowError):
        return 0.0, given, "no float"
    difference = abs(value - float(gold_quantity(gold).value))
    return float(difference <= NUMBER_TOLERANCE), given, "within 0.001"


def _box(completion: str, gold: Any, metric: str = "accuracy", threshold: float = 0.5) -> Graded:
    expected = gold_boxes(gold)[0]
    box = first_box(completion)
    iou = _suite_iou(expected, box)
    if metric not in ("accuracy", "iou"):
        raise DataError(f"unknown box metric {metric!r} in mode 'mimo_compat'; choose 'accuracy' or 'iou'")
    return (float(iou >= threshold) if metric == "accuracy" else iou), box, "first four numbers"


def _suite_iou(first: Sequence[float], second: Sequence[float]) -> float:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(0.0, width) * max(0.0, height)
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)) - shared
    return shared / union if union > 0 else 0.0


def _point(completion: str, gold: Any) -> Graded:
    box = first_box(completion)
    if box == (0, 0, 0, 0):
        x, y = first_point(completion)
        box = (x, y, x, y)
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    right = any(b[0] <= x <= b[2] and b[1] <= y <= b[3] for b in gold_boxes(gold)[:1])
    return float(right), (x, y), "centre inside"


def _span(completion: str, gold: Any, metric: str = "iou", threshold: float = 0.5) -> Graded:
    start, end = gold_span(gold)
    given = first_span(completion)
    shared = max(min(end, given[1]) - max(start, given[0]), 0.0)
    extent = max(end, given[1]) - min(start, given[0])
    iou = shared / extent if extent > 0 else 0.0
    return (float(iou >= threshold) if metric == "accuracy" else iou), given, "first span, whole seconds"


def _text(completion: str, gold: Any, metric: str = "exact", aliases: Sequence[str] = ()) -> Graded:
    given = last_boxed(completion)
    golds = gold_texts(gold, aliases)
    if metric == "exact":
        lower = given.lower()
        return float(any(lower == g.lower() or lower.rstrip(".") == g.lower() for g in golds)), given, "equal, no judge"
    if metric == "relaxed":
        return float(any(_chart_answer(given, g) for g in golds)), given, "ChartQA"
    if metric == "f1":
        return max(_set_f1(g, given) for g in golds), given, "F1 of token sets"
    raise DataError(f"the paper's suite has no text metric {metric!r}; choose 'exact', 'relaxed' or 'f1'")


def _chart_answer(given: str, gold: str) -> bool:
    if given.startswith("\\text{") and given.endswith("}"):
        given = given[6:-1]
    bare = given.rstrip("%").rstrip("\\")
    number = _float(bare if given.endswith("%") else given)
    tried = [given] if number is None else [number / 100, number] if given.endswith("%") else [number * 100, number]
    target = _float(gold)  # the suite cannot read a gold with a percent sign
    for value in tried:
        if target is not None and isinstance(value, float):
            if abs(target) * RELAXED_CHANGE >= abs(value - target):
                return True
        elif gold.lower() in str(value).lower():
            return True
    return False


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _set_f1(gold: str, given: str) -> float:
    sides = [set(re.findall(r"\w+|[^\w\s]", text.lower().strip().rstrip(".。!！?？ "))) for text in (gold, given)]
    shared = len(sides[0] & sides[1])
    return 2 * shared / (len(sides[0]) + len(sides[1])) if shared else 0.0


def _action(
    completion: str, gold: Any, size: Sequence[float] | None = None, boxes: Sequence[Any] = (), metric: str = "step"
) -> Graded:
    expected = gold_action(gold)
    if size is None:
        raise DataError(
            "mode 'mimo_compat' measures points in shares of the screen; give the option size=[width, height]"
        )
    given = read_suite_action(completion)
    if given is None:
        return 0.0, "", "parse error"
    name = expected["action"]
    if name == "scroll" and given["action"] == "drag":
        given = {"action": "scroll", "direction": drag_direction(given)}
    if given["action"] != name:
        return 0.0, given, "another action"
    if metric == "type":
        return 1.0, given, "type"
    return float(_step(given, expected, size, boxes)), given, "step"


def _step(given: Mapping[str, Any], gold: Mapping[str, Any], size: Sequence[float], boxes: Sequence[Any]) -> bool:
    name = gold["action"]
    try:
        if name in ("click", "longpress"):
            return _tap(given["start_point"], gold, size, boxes)
        if name == "input":
            one, two = (str(side["text"]).lower().strip() for side in (given, gold))
            return one in two or two in one
        if name in ("scroll", "press", "open"):
            field = {"scroll": "direction", "press": "keys", "open": "app"}[name]
            return bool(given[field] == gold[field])
    except (KeyError, TypeError, ValueError, IndexError):
        return False
    return name in ("wait", "finished")


def _tap(point: Sequence[float], gold: Mapping[str, Any], size: Sequence[float], boxes: Sequence[Any]) -> bool:
    x, y = float(point[0]) / size[0], float(point[1]) / size[1]
    target = gold_boxes(gold["bbox"]) if gold.get("bbox") is not None else []
    centre = gold.get("start_point") or [(target[0][0] + target[0][2]) / 2, (target[0][1] + target[0][3]) / 2]
    gx, gy = centre[0] / size[0], centre[1] / size[1]
    around = [*target, *(gold_boxes(boxes) if boxes else [])]
    shares = [(b[0] / size[0], b[1] / size[1], b[2] / size[0], b[3] / size[1]) for b in around]
    shares.sort(key=lambda b: ((b[0] + b[2]) / 2 - gx) ** 2 + ((b[1] + b[3]) / 2 - gy) ** 2)
    for x1, y1, x2, y2 in shares[:NEAREST_BOXES]:
        dx, dy = (BOX_GROWTH - 1) * (x2 - x1) / 2, (BOX_GROWTH - 1) * (y2 - y1) / 2
        if x1 - dx <= x <= x2 + dx and y1 - dy <= y <= y2 + dy:
            return True
    return bool((x - gx) ** 2 + (y - gy) ** 2 <= TAP_DISTANCE**2)


_RULES: dict[str, Callable[..., Graded]] = {
    "math": _math,
    "choice": _choice,
    "count": _count,
    "number": _number,
    "box": _box,
    "point": _point,
    "span": _span,
    "text": _text,
    "action": _action,
}

COMPAT_OPTIONS: dict[str, tuple[str, ...]] = {
    "math": (),
    "choice": ("choices", "seed"),
    "count": (),
    "number": (),
    "box": ("metric", "threshold"),
    "point": (),
    "span": ("metric", "threshold"),
    "text": ("metric", "aliases"),
    "action": ("size", "boxes", "metric"),
}
"""Kind → options of its rule. ``boxes`` of an action are all elements of the screen, of which the suite takes the five
nearest; ``seed`` decides the guesses."""

assert COMPAT_OPTIONS.keys() == _RULES.keys()
