"""Levenshtein distance, bit-parallel: one pass of big-integer operations per character of the shorter text."""

from __future__ import annotations

__all__ = ["edit_distance", "edit_similarity"]


def edit_distance(first: str, second: str) -> int:
    """Fewest insertions, deletions and substitutions that turn one text into the other.

    Myers (1999), "A fast bit-vector algorithm for approximate string matching", in Hyyrö's (2003) form; the column of
    the dynamic programme is one integer with a bit for each character of the longer text.
    """
    pattern, text = (first, second) if len(first) >= len(second) else (second, first)
    size = len(pattern)
    if not text:
        return size
    mask, last = (1 << size) - 1, 1 << (size - 1)
    # int(…, 2) is linear in the length, where setting bit after bit would be quadratic
    reverse = pattern[::-1]
    where = {symbol: int("".join("1" if other == symbol else "0" for other in reverse), 2) for symbol in set(text)}
    increases, decreases, distance = mask, 0, size
    for symbol in text:
        match = where[symbol]
        diagonal = (((match & increases) + increases) ^ increases) | match | decreases
        grows = decreases | ~(diagonal | increases)
        shrinks = increases & diagonal
        if grows & last:
            distance += 1
        elif shrinks & last:
            distance -= 1
        grows, shrinks = (grows << 1) | 1, shrinks << 1
        increases = (shrinks | ~(diagonal | grows)) & mask
        decreases = grows & diagonal & mask
    return distance


def edit_similarity(given: str, gold: str) -> float:
    """1 − edit distance / length of the longer text, in [0, 1]; 1 for two empty texts.

    What a given text has beyond four times the gold's length counts as inserted without being looked at: the similarity
    is at most 1/4 by then, and a runaway completion must not cost quadratic time.
    """
    longest = max(len(given), len(gold))
    if longest == 0:
        return 1.0
    limit = 4 * len(gold) + 64
    distance = edit_distance(given[:limit], gold) + max(0, len(given) - limit)
    return max(0.0, 1.0 - distance / longest)
