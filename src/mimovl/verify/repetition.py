"""Grade how little a completion repeats itself, thought included: the sign of a policy that loops."""

from __future__ import annotations

import re
from typing import Any

from mimovl.errors import DataError
from mimovl.types import Verdict
from mimovl.verify.answer import no_answer, verdict

__all__ = ["gold_limit", "loop_length", "repeated_share", "verify_repetition"]

LIMIT = 0.2
NGRAM = 8
MAX_CHARS = 400_000
LOOP_CHARS = 8000
MIN_LOOPS = 4

_TOKEN = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+|[^\w\s]")


def verify_repetition(completion: str, gold: Any = LIMIT, *, ngram: int = NGRAM) -> Verdict:
    """Score 1 when little is repeated, else what is left: 1 − the repeated share.

    Args:
        completion: all the model said.
        gold: the share of repeated n-grams still allowed; None for a fifth.
        ngram: words (or Chinese characters) of an n-gram.

    Raises:
        DataError: the limit is not in [0, 1], or n is below 1.
    """
    limit = gold_limit(gold)
    if ngram < 1:
        raise DataError(f"ngram is {ngram}; give at least 1")
    if not completion.strip():
        return no_answer("no text")
    loop = loop_length(completion)
    share = 1.0 if loop else repeated_share(completion, ngram)
    right = share <= limit
    rule = f"ends in a loop of {loop} characters" if loop else f"{share:.3f} repeated"
    return verdict(1.0 if right else 1.0 - share, correct=right, answer=completion[-200:], rule=rule)


def gold_limit(gold: Any) -> float:
    """Read the allowed share.

    Raises:
        DataError: it is no number in [0, 1].
    """
    if gold is None:
        return LIMIT
    if isinstance(gold, bool) or not isinstance(gold, int | float) or not 0 <= gold <= 1:
        raise DataError(f"gold answer {str(gold)[:80]!r} is no share; give a number in [0, 1], or null for {LIMIT}")
    return float(gold)


def repeated_share(text: str, ngram: int = NGRAM) -> float:
    """The share of n-grams of words that were there before, in [0, 1); 0 for a text shorter than one n-gram."""
    words = _TOKEN.findall(text[-MAX_CHARS:].casefold())
    total = len(words) - ngram + 1
    if total < 1:
        return 0.0
    return 1.0 - len({tuple(words[start : start + ngram]) for start in range(total)}) / total


def loop_length(text: str) -> int:
    """The length of what a text repeats at its end at least four times over at least 64 characters; 0 if it does not.

    By the prefix function of the reversed end, linear in its length.
    """
    end = text.rstrip()[-LOOP_CHARS:][::-1]
    prefix = [0] * len(end)
    for index in range(1, len(end)):
        length = prefix[index - 1]
        while length and end[index] != end[length]:
            length = prefix[length - 1]
        prefix[index] = length + (end[index] == end[length])
        period = index + 1 - prefix[index]
        if prefix[index] and index + 1 >= max(64, MIN_LOOPS * period):
            return period
    return 0
