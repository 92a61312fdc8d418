"""All pairs of hashes within a Hamming radius, exactly: a join on chunks of bits, in numpy, a block at a time.

For each chunk of ``hamming_plan`` the hashes are sorted by the chunk's key, with a table of where each key begins. For
each difference a key may have, every hash looks up the hashes whose key differs from its own by just that, and compares
whole hashes. Hashes are taken a block of neighbouring keys at a time, so that what they look up lies close together and
a lookup costs a nanosecond or two. A pair is reported by the first chunk that can find it: no set of pairs is kept.

Sorted hashes may lie in files (``scratch``); then memory holds one block, the key table and the pairs on their way out.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mimovl.curate.hamming_plan import Chunk, Words, distances, plan_chunks

__all__ = ["cross_join", "self_join"]

Ints = npt.NDArray[np.int64]
Hits = tuple[Ints, Ints]
"""Rows of two tables that lie within the radius."""

_BLOCK = 1 << 15
"""Hashes that look up together: with what they find, about a megabyte, the size of a core's own cache."""
_SORT_BLOCK = 1 << 22
_PARTITIONS = 256


@dataclass
class _Table:
    """Hashes in the order of a chunk's key."""

    chunk: Chunk
    columns: list[Words]
    """Word by word, so that a lookup in 64 bits is one plain array."""
    order: npt.NDArray[np.int64] | npt.NDArray[np.uint32]
    """Which hash each row was."""
    starts: Ints
    """Where each key begins, and at the end how many hashes there are."""

    def __len__(self) -> int:
        return int(self.starts[-1])

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Runs of rows, a block each."""
        for begin in range(0, len(self), _BLOCK):
            yield begin, min(begin + _BLOCK, len(self))

    def words(self, begin: int, end: int) -> Words:
        """Rows as hashes, shape (rows, W)."""
        return np.stack([np.asarray(column[begin:end]) for column in self.columns], axis=1)


def self_join(words_NW: Words, radius: int, scratch: Path | None = None) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Pairs i < j within the radius, each once, in no order: index, index, distance, some at a time."""
    chunks = plan_chunks(len(words_NW) // 2, len(words_NW), words_NW.shape[1], radius)
    if not chunks:
        yield from _compare_all(words_NW, words_NW, radius, itself=True)
    for number, chunk in enumerate(chunks):
        with tempfile.TemporaryDirectory(prefix="hashes-", dir=scratch) as folder:
            table = _sorted_table(words_NW, chunk, Path(folder) if scratch else None)
            for left, right in _self_hits(table, radius):
                one, two, far = _distinct(table, left, table, right, chunks[:number])
                yield np.minimum(one, two), np.maximum(one, two), far
            del table


def cross_join(left_NW: Words, right_MW: Words, radius: int) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Pairs of a left and a right hash within the radius, each once, in no order: index, index, distance."""
    chunks = plan_chunks(len(left_NW), len(right_MW), left_NW.shape[1], radius)
    if not chunks:
        yield from _compare_all(left_NW, right_MW, radius, itself=False)
    for number, chunk in enumerate(chunks):
        table, sorted_left = _sorted_table(right_MW, chunk, None), _sorted_table(left_NW, chunk, None)
        differences = [0, *(difference for group in chunk.differences() for difference in group)]
        for begin, end in sorted_left.blocks():
            words = sorted_left.words(begin, end)
            keys = chunk.keys(words)
            columns = [np.ascontiguousarray(words[:, place]) for place in range(words.shape[1])]
            for difference in differences:
                for rows, found in _look_up(table, columns, keys ^ difference, radius):
                    yield _distinct(sorted_left, rows + begin, table, found, chunks[:number])


def _self_hits(table: _Table, radius: int) -> Iterator[Hits]:
    """Rows of the table near each other, each pair once."""
    groups = table.chunk.differences()
    for begin, end in table.blocks():
        words = table.words(begin, end)
        keys = table.chunk.keys(words)
        columns = [np.ascontiguousarray(words[:, place]) for place in range(words.shape[1])]
        # Within one key: those behind oneself.
        own = np.arange(begin, end)
        for rows, found in _compare(table, columns, own + 1, table.starts.take(keys + 1), radius):
            yield rows + begin, found
        # With another key: only from the one of the two in which the highest bit they differ in is 0.
        for bit, differences in enumerate(groups):
            if not differences:
                continue
            zero = np.flatnonzero(keys & (1 << bit) == 0)
            some = [column.take(zero) for column in columns]
            some_keys = keys.take(zero)
            for difference in differences:
                for rows, found in _look_up(table, some, some_keys ^ difference, radius):
                    yield zero.take(rows) + begin, found


def _look_up(table: _Table, columns: list[Words], keys: Ints, radius: int) -> Iterator[Hits]:
    """Compare each hash with all whose key is the one given for it."""
    return _compare(table, columns, table.starts.take(keys), table.starts[1:].take(keys), radius)


def _compare(table: _Table, columns: list[Words], place: Ints, last: Ints, radius: int) -> Iterator[Hits]:
    """Compare hash n with the rows ``place[n]`` to ``last[n]``: all first rows together, then all second ones."""
    rows: Ints | None = None
    while len(place):
        # A run that is empty or at its end is compared with whatever lies there: cheaper than leaving it out.
        found = table.columns[0].take(place, mode="clip")
        found ^= columns[0]
        if len(columns) == 1:
            near = np.bitwise_count(found) <= radius
        else:
            far = np.bitwise_count(found).astype(np.uint16)
            for column, own in zip(table.columns[1:], columns[1:], strict=True):
                found = column.take(place, mode="clip")
                found ^= own
                far += np.bitwise_count(found)
            near = far <= radius
        hits = np.flatnonzero(near)
        if len(hits):
            hits = hits[place[hits] < last[hits]]
            if len(hits):
                yield (hits if rows is None else rows[hits]), place[hits]
        place += 1
        waiting = np.flatnonzero(place < last)
        if len(waiting) < 0.7 * len(place):
            place, last = place.take(waiting), last.take(waiting)
            columns = [column.take(waiting) for column in columns]
            rows = waiting if rows is None else rows.take(waiting)


def _distinct(
    left: _Table, left_rows: Ints, right: _Table, right_rows: Ints, earlier: list[Chunk]
) -> tuple[Ints, Ints, Ints]:
    """Hits that no earlier chunk has found, as indices with their distance."""
    one = np.stack([column[left_rows] for column in left.columns], axis=1)
    two = np.stack([column[right_rows] for column in right.columns], axis=1)
    new = np.ones(len(one), bool)
    for chunk in earlier:
        new &= distances(one & chunk.mask, two & chunk.mask) > chunk.threshold
    first, second = left.order[left_rows[new]], right.order[right_rows[new]]
    return first.astype(np.int64), second.astype(np.int64), distances(one[new], two[new])


def _compare_all(left_NW: Words, right_MW: Words, radius: int, *, itself: bool) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Every pair, or every pair i < j of one array."""
    step = max(1, (1 << 17) // max(1, len(right_MW)))
    for begin in range(0, len(left_NW), step):
        skip = begin + 1 if itself else 0
        for start in range(skip, len(right_MW), 1 << 17):
            two = right_MW[start : start + (1 << 17)]
            far = np.bitwise_count(left_NW[begin : begin + step, None, 0] ^ two[None, :, 0]).astype(np.uint16)
            for word in range(1, left_NW.shape[1]):
                far += np.bitwise_count(left_NW[begin : begin + step, None, word] ^ two[None, :, word])
            rows, found = np.nonzero(far <= radius)
            one, other = rows + begin, found + start
            keep = one < other if itself else slice(None)
            yield one[keep], other[keep], far[rows, found].astype(np.int64)[keep]


def _sorted_table(words_NW: Words, chunk: Chunk, folder: Path | None) -> _Table:
    """Sort by key: in memory, or into files of the folder."""
    if folder is not None:
        return _sorted_in_files(words_NW, chunk, folder)
    keys = chunk.keys(words_NW)
    order = np.argsort(keys, kind="stable")
    starts = _starts(np.bincount(keys, minlength=chunk.num_keys))
    return _Table(chunk, [words_NW[:, word].take(order) for word in range(words_NW.shape[1])], order, starts)


def _sorted_in_files(words_NW: Words, chunk: Chunk, folder: Path) -> _Table:
    """Two passes: deal the hashes into runs of keys, then sort each run; one run or block is in memory at a time."""
    count, width = words_NW.shape
    blocks = [(begin, min(begin + _SORT_BLOCK, count)) for begin in range(0, count, _SORT_BLOCK)]
    sizes = np.zeros(chunk.num_keys, np.int64)
    for begin, end in blocks:
        sizes += np.bincount(chunk.keys(np.asarray(words_NW[begin:end])), minlength=chunk.num_keys)
    starts = _starts(sizes)
    columns: list[Words] = [
        np.memmap(folder / f"word-{word}", np.uint64, "w+", shape=(count,)) for word in range(width)
    ]
    order = np.memmap(folder / "order", np.uint32 if count < 1 << 32 else np.int64, "w+", shape=(count,))
    step = max(1, chunk.num_keys // _PARTITIONS)
    bounds = starts[::step] if chunk.num_keys >= _PARTITIONS else starts
    cursor = bounds[:-1].copy()
    for begin, end in blocks:
        words = np.asarray(words_NW[begin:end])
        parts = chunk.keys(words) // step
        dealt = np.argsort(parts, kind="stable")
        edges = np.searchsorted(parts[dealt], np.arange(len(cursor) + 1))
        for part in range(len(cursor)):
            rows = dealt[edges[part] : edges[part + 1]]
            place = slice(int(cursor[part]), int(cursor[part]) + len(rows))
            for word, column in enumerate(columns):
                column[place] = words[rows, word]
            order[place] = rows + begin
            cursor[part] += len(rows)
    for part in range(len(cursor)):
        place = slice(int(bounds[part]), int(bounds[part + 1]))
        words = np.stack([column[place] for column in columns], axis=1)
        within = np.argsort(chunk.keys(words), kind="stable")
        for word, column in enumerate(columns):
            column[place] = words[within, word]
        order[place] = order[place][within]
    return _Table(chunk, columns, order, starts)


def _starts(sizes: npt.NDArray[np.int64]) -> Ints:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
