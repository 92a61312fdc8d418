"""A shuffle in which samples that lie together on the disk are read at about the same time.

Row groups come in a new order every epoch; as many of them as make up the buffer form a block, and the samples of a
block are shuffled among each other. Which sample is the n-th of an epoch is a pure function of the seed and n: there
is no buffer to save, a stream resumed anywhere goes on to the bit, and loaders side by side need no word with each
other.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from mimovl.errors import DataError

__all__ = ["BUFFER_BYTES", "BUFFER_ROWS", "BlockOrder"]

BUFFER_ROWS = 4096
BUFFER_BYTES = 256 << 20
"""A block is closed at either size: so much is read before its last sample comes."""
_KEPT = 4
"""Blocks and epochs remembered: a loader that resumes looks at neighbours of where it stood."""

T = TypeVar("T")
Key = tuple[int, ...]


class BlockOrder:
    """Shuffled epochs over row groups; threads may share one.

    Args:
        starts: number of the first sample of each row group, and of all samples; ascending from 0.
        sizes: bytes of each row group, 0 where samples are read one by one.
        offset: added to every number.
        rows: samples of a block, about.
        size: bytes of a block, about.

    Raises:
        DataError: a bound below 1.
    """

    def __init__(
        self,
        starts: Sequence[int],
        sizes: Sequence[int],
        *,
        offset: int = 0,
        rows: int = BUFFER_ROWS,
        size: int = BUFFER_BYTES,
    ) -> None:
        if rows < 1 or size < 1:
            raise DataError(f"a shuffle buffer of {rows} samples and {size} bytes; both are 1 or more")
        assert len(sizes) == len(starts) - 1, "a row group has one size"
        self._starts = list(starts)
        self._sizes = list(sizes)
        self._offset = offset
        self._rows = rows
        self._size = size
        self._epochs: OrderedDict[Key, tuple[list[list[int]], list[int]]] = OrderedDict()
        self._blocks: OrderedDict[Key, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())

    def __len__(self) -> int:
        return self._starts[-1]

    def pick(self, key: Sequence[int], place: int) -> int:
        """The sample at a place of an epoch.

        Args:
            key: seed of the epoch.
            place: 0 to the number of samples.
        """
        epoch = tuple(key)
        with self._lock:  # what one thread finds remembered, another may forget
            groups, ends = _remembered(self._epochs, epoch, lambda: self._epoch(epoch))
            block = bisect_right(ends, place)
            first = ends[block - 1] if block else 0
            rows = _remembered(self._blocks, (*epoch, block), lambda: self._block((*epoch, 1, block), groups[block]))
        return self._offset + int(rows[place - first])

    def _epoch(self, key: Key) -> tuple[list[list[int]], list[int]]:
        """Row groups of each block, and the place where each block ends."""
        blocks: list[list[int]] = []
        ends: list[int] = []
        rows = size = 0
        full = True
        for group in np.random.default_rng([*key, 0]).permutation(len(self._sizes)).tolist():
            count = self._starts[group + 1] - self._starts[group]
            if not count:
                continue
            if full:
                blocks.append([])
                ends.append(ends[-1] if ends else 0)
                rows = size = 0
            blocks[-1].append(group)
            ends[-1] += count
            rows, size = rows + count, size + self._sizes[group]
            full = rows >= self._rows or size >= self._size
        return blocks, ends

    def _block(self, key: Key, groups: Sequence[int]) -> np.ndarray:
        rows = np.concatenate([np.arange(self._starts[group], self._starts[group + 1]) for group in groups])
        return np.random.default_rng(list(key)).permutation(rows)


def _remembered(kept: OrderedDict[Key, T], key: Key, make: Callable[[], T]) -> T:
    if key in kept:
        kept.move_to_end(key)
        return kept[key]
    while len(kept) >= _KEPT:
        kept.popitem(last=False)
    kept[key] = value = make()
    return value
