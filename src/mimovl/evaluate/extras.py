"""Measures that stand beside a score: how far off a count is, how many of the gold boxes are found.

Each gives a value and a weight for one answer; over a task the measure is Σ weight · value / Σ weight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from mimovl.types import Gold
from mimovl.verify.answer import read_answer, split_thought
from mimovl.verify.box import gold_boxes, match_boxes, max_boxes, read_boxes
from mimovl.verify.count import gold_count, read_count

__all__ = ["MEAN_ABSOLUTE_ERROR", "RECALL", "Extra", "absolute_error", "box_recall"]

MAX_COUNT = 1000
"""A larger count than this is taken as this, so that one absurd answer does not make the whole mean."""

RECALL_THRESHOLD = 0.5


@dataclass(frozen=True)
class Extra:
    """A named measure."""

    name: str
    measure: Callable[[Gold, str], tuple[float, float] | None]
    """(gold, completion) → (value, weight); None where it does not apply."""
    higher_is_better: bool = True
    bounds: tuple[float, float] = (0.0, 1.0)


def absolute_error(gold: Gold, completion: str) -> tuple[float, float] | None:
    """|answered − gold| of a count. An unreadable or unfinished answer counts as answering 0."""
    if gold.kind != "count":
        return None
    text = split_thought(completion)
    count = read_count(text) if text is not None else None
    # Bounded as it is: a number of hundreds of digits is no float.
    answered = 0.0 if count is None else float(max(Fraction(-MAX_COUNT), min(Fraction(MAX_COUNT), count)))
    return abs(answered - gold_count(gold.answer)), 1.0


def box_recall(gold: Gold, completion: str) -> tuple[float, float] | None:
    """Share of the gold boxes matched one to one by a predicted box with IoU ≥ 0.5, weighed by their number."""
    if gold.kind != "box":
        return None
    expected = gold_boxes(gold.answer)
    text = split_thought(completion)
    answer = read_answer(text) if text else None
    boxes = read_boxes(answer) if answer else []
    if not boxes or len(boxes) > max_boxes(len(expected)):
        return 0.0, float(len(expected))
    found = sum(match_boxes(boxes, expected, threshold=RECALL_THRESHOLD))
    return found / len(expected), float(len(expected))


MEAN_ABSOLUTE_ERROR = Extra("mean_absolute_error", absolute_error, higher_is_better=False, bounds=(0.0, MAX_COUNT))
RECALL = Extra("recall@0.5", box_recall)
