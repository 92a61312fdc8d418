"""Words, word pairs and runs of Chinese characters counted over any corpora, in bounded memory."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mimovl.curate.caption.canonical import UNSPACED, canonical_bytes, character_kinds

__all__ = ["NgramCounts", "pmi_bits"]

_BATCH = 2000
LONGEST = 4
"""Characters of the longest Chinese entry."""


def pmi_bits(together: int, one: int, other: int, total: int) -> float:
    """Pointwise mutual information of two neighbours: log2 of how much oftener they meet than by chance."""
    return math.log2(together * total / (one * other))


@dataclass
class NgramCounts:
    """Counts of words, pairs of words next to each other, and sequences of 1 to 5 Chinese characters.

    Args:
        most: entries of one table; beyond it the rarest are forgotten, by count alone, so that the same corpus in the
            same order gives the same tables. What was forgotten is at most ``forgotten`` of any one entry.
    """

    most: int = 20_000_000
    words: Counter[str] = field(default_factory=Counter)
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    signs: Counter[str] = field(default_factory=Counter)
    total_words: int = 0
    total_signs: int = 0
    forgotten: int = 0

    def add(self, texts: Iterable[str]) -> int:
        """Count texts; returns their number."""
        number, waiting = 0, iter(texts)
        while batch := list(itertools.islice(waiting, _BATCH)):
            number += len(batch)
            for phrase in _phrases(batch):
                self._add(phrase)
            self._forget()
        return number

    def _add(self, phrase: list[str]) -> None:
        spaced: list[str] = []
        for token in [*phrase, ""]:
            if token and (token[0] < "\u3005" or character_kinds(token[0])[0] != UNSPACED):
                spaced.append(token)
                continue
            self.words.update(spaced)
            self.pairs.update(itertools.pairwise(spaced))
            self.total_words += len(spaced)
            spaced = []
            self.total_signs += len(token)
            for length in range(1, LONGEST + 2):
                self.signs.update(token[start : start + length] for start in range(len(token) - length + 1))

    def _forget(self) -> None:
        for table in (self.words, self.pairs, self.signs):
            least = 1
            while len(table) > self.most:
                for key in [key for key, count in table.items() if count <= least]:
                    del table[key]
                self.forgotten = max(self.forgotten, least)
                least += 1

    def word_pairs(self, min_count: int) -> Iterator[tuple[str, str, int, float]]:
        """Each pair met often enough: both words, count, mutual information in bits."""
        for (one, other), count in self.pairs.items():
            if count >= min_count and one in self.words and other in self.words:
                yield one, other, count, pmi_bits(count, self.words[one], self.words[other], self.total_words)

    def sign_runs(self, min_count: int) -> Iterator[tuple[str, int, float, float]]:
        """Each sequence of 2 to 4 characters met often enough: it, its count, cohesion and freedom in bits.

        Cohesion is the mutual information of its two parts, for the cut where that is least. Freedom is the entropy of
        what stands beside it, on the side where that is less: a piece of a longer word has always the same neighbour.
        A mark or an edge beside it counts as a neighbour of its own each time.
        """
        left, right = defaultdict[str, list[int]](list), defaultdict[str, list[int]](list)
        for longer, count in self.signs.items():
            if len(longer) > 2:
                if self.signs.get(longer[:-1], 0) >= min_count:
                    right[longer[:-1]].append(count)
                if self.signs.get(longer[1:], 0) >= min_count:
                    left[longer[1:]].append(count)
        for run, count in self.signs.items():
            if count >= min_count and 2 <= len(run) <= LONGEST:
                cuts = [(self.signs.get(run[:cut], 0), self.signs.get(run[cut:], 0)) for cut in range(1, len(run))]
                if all(one and other for one, other in cuts):
                    cohesion = min(pmi_bits(count, one, other, self.total_signs) for one, other in cuts)
                    freedom = min(_entropy(left[run], count), _entropy(right[run], count))
                    yield run, count, cohesion, freedom


def _entropy(beside: list[int], total: int) -> float:
    edges = max(0, total - sum(beside))
    bits = sum(count * math.log2(total / count) for count in beside)
    return (bits + edges * math.log2(total)) / total


def _phrases(texts: list[str]) -> Iterator[list[str]]:
    lines = canonical_bytes(texts)[0].decode().split("\n")[: len(texts)]
    for line in lines:
        for phrase in line.split("|"):
            if tokens := phrase.split():
                yield tokens
