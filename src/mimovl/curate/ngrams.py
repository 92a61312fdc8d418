"""Texts that contain questions of a benchmark, by shared n-grams of words (Chinese: of characters).

As for GPT-3 (Brown et al. 2020, appendix C): 13 words in a row, case and punctuation aside. A question shorter than
that, of 8 words or more, must be contained whole; shorter ones say nothing. What several questions of the benchmarks
share is their template, not their content, and is left out.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["MIN_WORDS", "NGRAM", "NgramIndex", "TextMatch", "words_of"]

NGRAM = 13
MIN_WORDS = 8
COMMON = 3
"""N-grams of more questions than these are a template."""
SHARE = 0.5
"""Share of a question's own n-grams that a text must contain."""

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W_\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")

Gram = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TextMatch:
    """A question found in a text."""

    item: int
    """Number of the question, in the order they were given."""
    share: float
    """Of the question's own n-grams."""
    phrase: str
    """The first n-gram shared, as words."""


def words_of(text: str) -> list[str]:
    """Lower-case words and single Chinese or Japanese characters, width and punctuation aside."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


class NgramIndex:
    """The n-grams of many questions.

    Args:
        questions: number of an item and a text of it; an item may have several.
    """

    def __init__(self, questions: Iterable[tuple[int, str]]) -> None:
        self._owners: dict[Gram, set[int]] = defaultdict(set)
        sizes: set[int] = set()
        for item, text in questions:
            for gram in _grams(words_of(text)):
                self._owners[gram].add(item)
                sizes.add(len(gram))
        for gram in [gram for gram, owners in self._owners.items() if len(owners) > COMMON]:
            del self._owners[gram]
        self._sizes = sorted(sizes)
        self._own = Counter(item for owners in self._owners.values() for item in owners)

    def __len__(self) -> int:
        return len(self._own)

    def find(self, texts: Sequence[str]) -> list[TextMatch]:
        """The questions that the texts of one sample contain, by their number."""
        shared: dict[int, set[Gram]] = defaultdict(set)
        first: dict[int, Gram] = {}
        for text in texts:
            words = words_of(text)
            for size in self._sizes:
                for place in range(len(words) - size + 1):
                    gram = tuple(words[place : place + size])
                    for item in self._owners.get(gram, ()):
                        shared[item].add(gram)
                        first.setdefault(item, gram)
        found = []
        for item in sorted(shared):
            share = len(shared[item]) / self._own[item]
            if share >= SHARE:
                found.append(TextMatch(item, share, " ".join(first[item])))
        return found


def _grams(words: Sequence[str]) -> set[Gram]:
    if len(words) < MIN_WORDS:
        return set()
    size = min(NGRAM, len(words))
    return {tuple(words[place : place + size]) for place in range(len(words) - size + 1)}
