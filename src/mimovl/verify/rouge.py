"""ROUGE-1, ROUGE-2 and ROUGE-L (Lin 2004), F measure.

Tokens are lower-case words of letters and digits, as rouge-score has them without stemming; beyond it every Chinese
character is a token. The longest common subsequence is found bit-parallel (Hyyrö 2004), an integer operation per token.
"""

from __future__ import annotations

import re
from collections import Counter

__all__ = ["longest_common_subsequence", "rouge"]

_TOKEN = re.compile(r"[a-z0-9]+|[\u3400-\u9fff]")
MAX_TOKENS = 20_000


def rouge(given: str, gold: str, kind: str) -> float:
    """The F measure of "rouge1", "rouge2" or "rougeL" (of the whole text, not by sentences), in [0, 1]."""
    first, second = (_TOKEN.findall(text.lower())[:MAX_TOKENS] for text in (given, gold))
    if kind == "rougeL":
        shared, sizes = longest_common_subsequence(first, second), (len(first), len(second))
    else:
        size = int(kind[-1])
        grams = [Counter(zip(*(words[start:] for start in range(size)), strict=False)) for words in (first, second)]
        shared, sizes = (grams[0] & grams[1]).total(), (grams[0].total(), grams[1].total())
    return 2 * shared / sum(sizes) if shared else 0.0


def longest_common_subsequence(first: list[str], second: list[str]) -> int:
    """The length of the longest common subsequence of two lists of tokens."""
    if not first or not second:
        return 0
    where: dict[str, int] = {}
    for index, token in enumerate(first):
        where[token] = where.get(token, 0) | 1 << index
    full = (1 << len(first)) - 1
    state = full
    for token in second:
        matches = state & where.get(token, 0)
        state = ((state + matches) | (state - matches)) & full
    return len(first) - state.bit_count()
