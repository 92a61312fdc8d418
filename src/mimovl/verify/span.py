r"""Grade a time span by one-dimensional IoU (MiMo-VL §3.1, temporal grounding; answers are ``[mm:ss,mm:ss]``).

Also read: hh:mm:ss, fractions of seconds (``[00:03.5,…]``), bare seconds, "00:03 - 00:07", "start: 3, end: 7",
第3秒到第7秒, "the first 7 seconds". Of several spans the last counts. A span that ends before it starts, or a minute of
75 seconds, is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

from mimovl.errors import DataError
from mimovl.types import Verdict
from mimovl.verify.answer import Answer, no_answer, plain, read_answer, tail, to_ascii, verdict

__all__ = ["SpanMetric", "gold_span", "read_span", "span_iou", "verify_span"]

SpanMetric = Literal["iou", "accuracy"]

_CLOCK = r"(?:\d{1,4}:)?\d{1,4}:\d{1,2}(?:\.\d{1,6})?"
_SECONDS = r"\d{1,7}(?:\.\d{0,6})?"
_TO = r"\s*(?:-+|~|to|until|and|到|至|,|;)\s*"
_TIME = rf"[\"']?({_CLOCK}|{_SECONDS})(?:\s?(?:s|secs?|seconds?)\b|\s?秒)?[\"']?"
_WHOLE = re.compile(rf"(?:from\s+|从)?(?:第\s?)?{_TIME}{_TO}(?:第\s?)?{_TIME}", re.ASCII)
_ENDS = re.compile(
    rf"[\"']?start(?:_time|s| time)?[\"']?\s?(?:[:=]|at)\s?{_TIME}[\s,;]{{1,9}}(?:and\s)?"
    rf"[\"']?end(?:_time|s| time)?[\"']?\s?(?:[:=]|at)\s?{_TIME}",
    re.ASCII | re.IGNORECASE,
)
_FIRST = re.compile(rf"(?:\b[Ff]irst\s({_SECONDS})\s(?:s|secs?|seconds?)\b|前\s?({_SECONDS})\s?秒)", re.ASCII)
_IN_SENTENCE = (
    re.compile(rf"[\[(]\s*{_TIME}{_TO}{_TIME}\s*[\])]", re.ASCII),
    re.compile(rf"(?<![\d:.])({_CLOCK}){_TO}({_CLOCK})(?![\d:])", re.ASCII),
    re.compile(
        rf"(?<![\d:.])({_SECONDS})(?:\s?s(?:ec(?:ond)?s?)?\b|\s?秒)?{_TO}({_SECONDS})\s?(?:s(?:ec(?:ond)?s?)?\b|秒)",
        re.ASCII,
    ),
)


def verify_span(text: str, gold: Any, *, metric: SpanMetric = "iou", threshold: float = 0.5) -> Verdict:
    """Score a time span against the gold one.

    Args:
        text: the answer, without the thought.
        gold: [start, end] in seconds, or text such as "[00:03,00:07]".
        metric: "iou", or "accuracy": 1 when IoU ≥ threshold, else 0.
        threshold: the IoU from which the outcome is CORRECT.

    Raises:
        DataError: the gold is not a span with start < end, or the metric is unknown.
    """
    if metric not in ("iou", "accuracy"):
        raise DataError(f"unknown span metric {metric!r}; choose 'iou' or 'accuracy'")
    expected = gold_span(gold)
    answer = read_answer(text)
    match = _last_span(answer) if answer else None
    if match is None:
        return no_answer("no span")
    span = _span(match)
    if span is None:
        return verdict(0.0, correct=False, answer=match[0], rule="not a span in time")
    iou = span_iou(span, expected)
    right = iou >= threshold
    score = float(right) if metric == "accuracy" else iou
    return verdict(score, correct=right, answer=f"[{span[0]:g},{span[1]:g}]", rule=metric)


def read_span(answer: Answer) -> tuple[float, float] | None:
    """The last span of an answer in seconds, or None."""
    match = _last_span(answer)
    return _span(match) if match else None


def span_iou(first: tuple[float, float], second: tuple[float, float]) -> float:
    """Intersection over union of two intervals with positive length, in [0, 1]."""
    intersection = max(0.0, min(first[1], second[1]) - max(first[0], second[0]))
    union = (first[1] - first[0]) + (second[1] - second[0]) - intersection
    return intersection / union


def _last_span(answer: Answer) -> re.Match[str] | None:
    text = to_ascii(plain(tail(answer.text)))
    whole = _WHOLE.fullmatch(text.strip(" .。[]()\n"))
    if whole:
        return whole
    ends = list(_ENDS.finditer(text))
    if ends:
        return ends[-1]
    for pattern in (*_IN_SENTENCE, _FIRST):
        matches = list(pattern.finditer(text))
        if matches:
            return matches[-1]
    return None


def _span(match: re.Match[str]) -> tuple[float, float] | None:
    if match.re is _FIRST:
        return (0.0, length) if (length := _seconds(match[1] or match[2])) else None
    start, end = _seconds(match[1]), _seconds(match[2])
    return (start, end) if start is not None and end is not None and start < end else None


def _seconds(text: str) -> float | None:
    fields = [float(field) for field in text.split(":")]
    if any(field >= 60 for field in fields[1:]):
        return None
    seconds = 0.0
    for field in fields:
        seconds = 60 * seconds + field
    return seconds


def gold_span(gold: Any) -> tuple[float, float]:
    """Read a gold span.

    Raises:
        DataError: it is not two times in order.
    """
    span: tuple[float, float] | None = None
    if isinstance(gold, str):
        span = read_span(Answer(gold, boxed=False))
    elif isinstance(gold, Sequence) and len(gold) == 2:
        try:
            start, end = (_seconds(time) if isinstance(time, str) else float(time) for time in gold)
        except (TypeError, ValueError):
            start = end = None
        if start is not None and end is not None and 0 <= start < end < float("inf"):
            span = start, end
    if span is None:
        raise DataError(f"gold answer {str(gold)[:80]!r} is not a span; give [start, end] in seconds with start < end")
    return span
