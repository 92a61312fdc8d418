"""Grade the length of a completion against a budget, with a soft edge.

Full score up to the budget, then linearly down to 0 over ``slack`` (the soft overlong punishment of DAPO, Yu et al.
2025, eq. 13, as a factor in [0, 1] instead of a penalty).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from mimovl.errors import DataError
from mimovl.types import Verdict
from mimovl.verify.answer import THINK_CLOSE, THINK_OPEN, verdict

__all__ = ["Budget", "LengthUnit", "gold_budget", "measure_length", "verify_length"]

LengthUnit = Literal["tokens", "words", "characters"]

_WORD = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+")


class Budget(NamedTuple):
    """Fewest and most."""

    low: int
    high: int


def verify_length(
    completion: str,
    gold: Any,
    *,
    unit: LengthUnit = "characters",
    of: Literal["all", "thought", "answer"] = "all",
    slack: int = 0,
    num_tokens: int | None = None,
) -> Verdict:
    """Score 1 within the budget, falling to 0 at ``slack`` beyond either end.

    Args:
        completion: all the model said.
        gold: the most, or {"min": …, "max": …}.
        unit: what is counted. A Chinese character is a word. Tokens are not counted here: give ``num_tokens``.
        of: the part that is counted.
        slack: over how much the score falls; 0 for a hard edge.
        num_tokens: how many tokens the part has, for the unit "tokens".

    Raises:
        DataError: the budget, unit or part is unknown or impossible, or ``num_tokens`` is missing.
    """
    budget = gold_budget(gold)
    if unit not in ("tokens", "words", "characters"):
        raise DataError(f"unknown length unit {unit!r}; choose 'tokens', 'words' or 'characters'")
    if of not in ("all", "thought", "answer"):
        raise DataError(f"unknown part {of!r}; choose 'all', 'thought' or 'answer'")
    if unit == "tokens" and num_tokens is None:
        raise DataError("a budget in tokens needs the option num_tokens; or choose 'words' or 'characters'")
    size = num_tokens if unit == "tokens" and num_tokens is not None else measure_length(completion, unit, of)
    beyond = max(budget.low - size, size - budget.high, 0)
    score = 1.0 if not beyond else max(0.0, 1.0 - beyond / slack) if slack > 0 else 0.0
    return verdict(score, correct=not beyond, answer=f"{size} {unit}", rule=f"{budget.low} to {budget.high} {unit}")


def measure_length(completion: str, unit: LengthUnit, of: str = "all") -> int:
    """Count words or characters of a completion or of a part of it."""
    head, closed, tail = completion.rpartition(THINK_CLOSE)
    if of == "answer":
        completion = tail.strip() if closed else completion
    elif of == "thought":
        completion = head.rpartition(THINK_OPEN)[2].strip() if closed else ""
    return len(completion) if unit == "characters" else sum(1 for _ in _WORD.finditer(completion))


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def gold_budget(gold: Any) -> Budget:
    """Read a budget.

    Raises:
        DataError: it is no non-negative integer or {"min", "max"} in order.
    """
    low, high = (gold.get("min", 0), gold.get("max", -1)) if isinstance(gold, Mapping) else (0, gold)
    if not _whole(low) or not _whole(high) or not 0 <= low <= high:
        raise DataError(
            f"gold answer {str(gold)[:80]!r} is no budget; give the most as an integer, or {{'min': 0, 'max': 100}}"
        )
    return Budget(low, high)
