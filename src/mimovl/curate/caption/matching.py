"""Which metadata entries a caption holds: one pass of an Aho-Corasick automaton over a batch, whatever their number."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from mimovl.curate.caption.canonical import canonical_bytes, patterns
from mimovl.errors import DataError, MissingExtraError

__all__ = ["Matcher"]

_BATCH_CHARACTERS = 10_000
"""Characters searched at once: few calls, and offsets that stay in a core's cache."""

Ints = npt.NDArray[np.int64]


class Matcher:
    """Finds entries as words of captions (``canonical`` says what a word is).

    Args:
        entries: the metadata; two that have the same canonical form are found together, as the first of them.

    Raises:
        MissingExtraError: ahocorasick-rs is not installed.
        DataError: no entry has a letter or digit.
    """

    def __init__(self, entries: Sequence[str]) -> None:
        try:
            from ahocorasick_rs import BytesAhoCorasick
        except ImportError:
            raise MissingExtraError("ahocorasick-rs", "curate", "matching captions with metadata") from None
        numbers: dict[bytes, int] = {}
        for number, entry in enumerate(patterns(entries)):
            numbers.setdefault(entry, number)
        numbers.pop(b"", None)
        if not numbers:
            raise DataError(f"none of {len(entries)} metadata entries has a letter or a digit; build them again")
        self.num_entries = len(entries)
        self._numbers = np.fromiter(numbers.values(), dtype=np.int64, count=len(numbers))
        self._automaton: Any = BytesAhoCorasick(list(numbers))

    def pairs(self, texts: Sequence[str]) -> tuple[Ints, Ints]:
        """Each entry of each text once.

        Returns:
            Numbers of texts, ascending, and of the entries they hold, ascending within a text, both of shape (pairs,).
        """
        rows, found = [], []
        for start, stop in _batches(texts):
            row, entry = self._pairs(texts[start:stop])
            rows.append(row + start)
            found.append(entry)
        if not rows:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        return np.concatenate(rows), np.concatenate(found)

    def _pairs(self, texts: Sequence[str]) -> tuple[Ints, Ints]:
        haystack, ends = canonical_bytes(texts)
        hits = self._automaton.find_matches_as_indexes(haystack, overlapping=True)
        flat = np.fromiter(chain.from_iterable(hits), dtype=np.int64, count=3 * len(hits)).reshape(-1, 3)
        keys = np.searchsorted(ends, flat[:, 1]) * self.num_entries + self._numbers[flat[:, 0]]
        keys.sort()
        keys = keys[np.append(True, keys[1:] != keys[:-1])] if len(keys) else keys
        row, entry = np.divmod(keys, self.num_entries)
        return row, entry


def _batches(texts: Sequence[str]) -> list[tuple[int, int]]:
    bounds, start, held = [], 0, 0
    for number, text in enumerate(texts):
        if held and held + len(text) > _BATCH_CHARACTERS:
            bounds.append((start, number))
            start, held = number, 0
        held += len(text) + 1
    return [*bounds, (start, len(texts))] if held else bounds
