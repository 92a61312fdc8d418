"""How to cut hashes into chunks so that near ones must agree, almost, in one of them: the pigeonhole principle.

Cut the bits into m chunks and give chunk c a threshold t_c with t_1 + … + t_m = r − m + 1. Two hashes that differ by
more than t_c in every chunk differ by at least (t_1 + 1) + … + (t_m + 1) = r + 1 bits in all. So every pair within r is
found by looking, chunk by chunk, at keys within t_c of one's own: nothing is missed, whatever the data
(Norouzi et al. 2012, multi-index hashing; Qin et al. 2018 for thresholds that differ).

Bits go to chunks in turn, as cards are dealt: neighbouring bits of a perceptual hash are frequencies alike in size, and
a chunk of only low ones would hold few distinct values.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt

__all__ = ["Chunk", "distances", "plan_chunks"]

Words = npt.NDArray[np.uint64]

MAX_KEY_BITS = 22
"""A table of where each key begins has 2^22 entries at most: 32 MiB."""
_PROBE, _CANDIDATE, _BRUTE = 3.0, 3.0, 0.7
"""Nanoseconds to look one key up, to compare one candidate, and to compare one pair when all are compared."""


@dataclass(frozen=True)
class Chunk:
    """Some bits of a hash, as a key; and how many of them a near pair may differ in to be found here."""

    bits: tuple[int, ...]
    """Bit numbers from the least of the last word; the first is the key's highest."""
    threshold: int
    num_words: int

    @property
    def num_keys(self) -> int:
        """Keys there can be."""
        return 1 << len(self.bits)

    @property
    def mask(self) -> Words:
        """The chunk's bits as a mask, shape (W,)."""
        mask = np.zeros(self.num_words, np.uint64)
        for bit in self.bits:
            mask[self._word(bit)] |= np.uint64(1 << bit % 64)
        return mask

    def keys(self, words_NW: Words) -> npt.NDArray[np.int64]:
        """The key of each hash, shape (N,)."""
        keys = np.zeros(len(words_NW), np.int64)
        for bit in self.bits:
            keys <<= 1
            keys |= (words_NW[:, self._word(bit)] >> np.uint64(bit % 64)).astype(np.int64) & 1
        return keys

    def differences(self) -> list[list[int]]:
        """Nonzero differences of two keys within the threshold, by their highest bit."""
        found: list[list[int]] = [[] for _ in self.bits]
        for size in range(1, self.threshold + 1):
            for places in combinations(range(len(self.bits)), size):
                found[places[-1]].append(sum(1 << place for place in places))
        return found

    def _word(self, bit: int) -> int:
        return self.num_words - 1 - bit // 64


def plan_chunks(num_left: int, num_right: int, num_words: int, radius: int) -> list[Chunk]:
    """The cheapest chunks for joining so many hashes; none where comparing all with all costs least."""
    best: list[Chunk] = []
    least = _BRUTE * num_words * num_left * num_right
    num_bits = 64 * num_words
    for count in range(1, min(radius + 1, num_bits // 8) + 1):
        spare = radius - count + 1
        thresholds = [(spare + place) // count for place in range(count)]
        width = min(num_bits // count, MAX_KEY_BITS)
        if thresholds[-1] > 5 or thresholds[-1] >= width:
            continue
        cost = 0.0
        for threshold in thresholds:
            probes = sum(comb(width, size) for size in range(threshold + 1))
            cost += probes * num_left * (_PROBE + _CANDIDATE * num_words * num_right / 2**width)
            cost += 4.0 * 2**width + 100.0 * (num_left + num_right)
            cost += 20_000.0 * probes  # the calls themselves
        if cost < least:
            least = cost
            dealt = [tuple(range(place, num_bits, count))[:MAX_KEY_BITS] for place in range(count)]
            best = [Chunk(bits, limit, num_words) for bits, limit in zip(dealt, thresholds, strict=True)]
    return best


def distances(left_NW: Words, right_NW: Words) -> npt.NDArray[np.int64]:
    """Bits in which hashes differ, row by row, shape (N,)."""
    return np.asarray(np.bitwise_count(left_NW ^ right_NW).sum(axis=-1), np.int64)
