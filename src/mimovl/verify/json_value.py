"""Grade a JSON answer, and read the JSON values that stand in a text.

Read is what ``json`` reads, less NaN and infinities; Python literals, comments and trailing commas are not JSON.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from mimovl.errors import DataError
from mimovl.types import Verdict
from mimovl.verify.answer import no_answer, plain, read_answer, verdict

__all__ = ["JsonMetric", "gold_json", "read_json_values", "same_json", "verify_json"]

JsonMetric = Literal["exact", "fields"]

MAX_CHARS = 100_000
MAX_ATTEMPTS = 200
MAX_DEPTH = 60
MAX_LEAVES = 10_000


def verify_json(text: str, gold: Any, *, metric: JsonMetric = "exact") -> Verdict:
    """Score the last JSON value of an answer against the gold one.

    Objects have no order, lists do; numbers compare by value (1.0 is 1), strings as they are.

    Args:
        text: the answer, without the thought.
        gold: the value, or its JSON text.
        metric: "exact", 1 when both are equal; "fields", the share of leaves (paths with their values) that agree, of
            the larger number of leaves.

    Raises:
        DataError: the gold is no JSON value, or the metric is unknown.
    """
    if metric not in ("exact", "fields"):
        raise DataError(f"unknown json metric {metric!r}; choose 'exact' or 'fields'")
    expected = gold_json(gold)
    answer = read_answer(text)
    values = read_json_values(answer.text) if answer else []
    if not values:
        return no_answer("no JSON")
    given = values[-1]
    right = same_json(given, expected)
    score = float(right)
    if metric == "fields" and not right:
        first, second = _leaves(given), _leaves(expected)
        score = len(first & second) / max(len(first), len(second), 1)
    return verdict(score, correct=right, answer=json.dumps(given, ensure_ascii=False)[:600], rule=metric)


def gold_json(gold: Any) -> Any:
    """Read a gold value.

    Raises:
        DataError: it cannot be written as JSON, or is a text that is no JSON.
    """
    try:
        return _DECODER.decode(gold) if isinstance(gold, str) else json.loads(json.dumps(gold, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"gold answer {str(gold)[:80]!r} is no JSON value ({error}); mend it") from error


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def read_json_values(text: str) -> list[Any]:
    """The outermost JSON objects and lists of a text, in order; a text that is one JSON value gives that."""
    text = plain(text[-MAX_CHARS:])
    if _depth(text) > MAX_DEPTH:
        return []
    try:
        return [_DECODER.decode(text)]
    except (ValueError, RecursionError):
        pass
    found: list[Any] = []
    position = 0
    for _ in range(MAX_ATTEMPTS):
        starts = [start for start in (text.find("{", position), text.find("[", position)) if start >= 0]
        if not starts:
            break
        try:
            value, position = _DECODER.raw_decode(text, min(starts))
            found.append(value)
        except (ValueError, RecursionError):
            position = min(starts) + 1
    return found


def _depth(text: str) -> int:
    deepest = depth = 0
    for character in text:
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth = max(0, depth - 1)
    return deepest


def same_json(first: Any, second: Any) -> bool:
    """Whether two JSON values are equal; true and 1 are not."""
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(same_json(first[name], second[name]) for name in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(same_json(*pair) for pair in zip(first, second, strict=True))
    return bool(first == second)


def _leaves(value: Any) -> set[tuple[str, str]]:
    """Paths with their values; an empty object or list is a leaf."""
    leaves: set[tuple[str, str]] = set()
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting and len(leaves) < MAX_LEAVES:
        path, one = waiting.pop()
        if isinstance(one, dict) and one:
            waiting.extend((f"{path}/{json.dumps(name)}", inner) for name, inner in one.items())
        elif isinstance(one, list) and one:
            waiting.extend((f"{path}/{index}", inner) for index, inner in enumerate(one))
        else:
            whole = isinstance(one, float) and one.is_integer() and abs(one) < 1e15
            leaves.add((path, json.dumps(int(one) if whole else one)))
    return leaves
