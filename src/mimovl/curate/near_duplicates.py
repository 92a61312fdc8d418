"""Near-duplicate pictures: all pairs within a radius, confirmed pairs, groups, and which copy is kept.

    pairs(hashes, 8)                       every (i, j, distance), exactly
    report = find_duplicates(signatures, facts)
    report.dropped[0].why                  "a copy of photos/7 (64-bit distance 2, 256-bit 11), which is larger: …"

Two stages, both from one small decode. The 64-bit hash proposes (≤ 12 bits apart), the 256-bit hash confirms (≤ 60):
unrelated photos lie 94 or more apart there. Pages, charts and screens must also look alike cell by cell
(``signature``). Confirmed pairs are joined to groups by union-find, and one picture of each group is kept: the one
with most pixels, then most bytes, then the first id. That does not depend on the order in which pictures come.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mimovl.curate.hamming_join import cross_join, self_join
from mimovl.curate.hamming_plan import Words, distances
from mimovl.curate.signature import Signatures, looks_alike, turned_looks
from mimovl.errors import UsageError

__all__ = [
    "CANDIDATE_RADIUS",
    "CONFIRM_RADIUS",
    "Copy",
    "CopyReport",
    "PictureFacts",
    "cross_pairs",
    "find_duplicates",
    "groups",
    "iter_pairs",
    "matches",
    "pairs",
]

Ints = npt.NDArray[np.int64]

CANDIDATE_RADIUS = 12
"""Bits of 64: a covered corner can change so many."""
CONFIRM_RADIUS = 60
"""Bits of 256."""


# ---------------------------------------------------------------- pairs


def pairs(hashes: npt.NDArray[np.uint64], radius: int, *, scratch: Path | str | None = None) -> Ints:
    """All pairs of hashes that differ in at most ``radius`` bits: none missed, each once.

    Args:
        hashes: shape (N,) for 64 bits, (N, W) for 64 · W; may be a ``numpy.memmap``.
        radius: bits.
        scratch: a folder for sorted copies, where they should not be in memory; they are removed at the end.

    Returns:
        (i, j, distance) with i < j, in that order, shape (number of pairs, 3), int64.

    Raises:
        UsageError: the hashes are no such array, or the radius is negative.
    """
    return _collected(iter_pairs(hashes, radius, scratch=scratch))


def iter_pairs(hashes: npt.NDArray[np.uint64], radius: int, *, scratch: Path | str | None = None) -> Iterator[Ints]:
    """The same pairs some at a time and in no order: for more of them than memory holds."""
    words = _as_words(hashes, radius)
    for one, two, far in self_join(words, radius, Path(scratch) if scratch else None):
        if len(one):
            yield np.stack([one, two, far], axis=1)


def cross_pairs(left: npt.NDArray[np.uint64], right: npt.NDArray[np.uint64], radius: int) -> Ints:
    """All pairs of a left and a right hash that differ in at most ``radius`` bits.

    Returns:
        (index on the left, index on the right, distance), in that order, shape (number of pairs, 3).

    Raises:
        UsageError: the hashes are no such arrays or of different lengths, or the radius is negative.
    """
    one, two = _as_words(left, radius), _as_words(right, radius)
    if one.shape[1] != two.shape[1]:
        raise UsageError(f"hashes of {64 * one.shape[1]} and of {64 * two.shape[1]} bits do not compare")
    return _collected(np.stack(block, axis=1) for block in cross_join(one, two, radius) if len(block[0]))


def _as_words(hashes: npt.NDArray[np.uint64], radius: int) -> Words:
    if hashes.dtype != np.uint64 or hashes.ndim not in (1, 2):
        raise UsageError(f"hashes are {hashes.dtype} of shape {hashes.shape}; give uint64 of shape (N,) or (N, words)")
    if radius < 0:
        raise UsageError(f"the radius is {radius} bits; give 0 or more")
    return hashes[:, None] if hashes.ndim == 1 else hashes


def _collected(blocks: Iterable[Ints]) -> Ints:
    found = np.concatenate([np.empty((0, 3), np.int64), *blocks])
    return found[np.lexsort((found[:, 1], found[:, 0]))]


# ---------------------------------------------------------------- confirmed pairs


@dataclass(frozen=True)
class Matches:
    """Pairs that show the same picture."""

    left: Ints
    right: Ints
    orientation: Ints
    """How the right one is turned to match (``grey.turned``); 0 as it is."""
    bits64: Ints
    bits256: Ints


def matches(left: Signatures, right: Signatures | None = None, *, orientations: Iterable[int] = (0,)) -> Matches:
    """Pairs of pictures confirmed by both hashes and, for flat ones, by their cells.

    Args:
        left: pictures.
        right: other pictures, signed in the orientations wanted; without it pairs i < j of the left ones.
        orientations: 0 as they are, 4 mirrored, 1 to 3 quarter turns (1 undoes 3: ask for both), 5 to 7 mirrored and
            turned.

    Raises:
        UsageError: the right ones are signed in fewer orientations.
    """
    other = left if right is None else right
    found: list[Matches] = []
    for orientation in orientations:
        if orientation >= other.hash64.shape[1]:
            raise UsageError(f"signed in {other.hash64.shape[1]} orientations, asked for number {orientation}; sign 8")
        if right is None and orientation == 0:
            near = pairs(left.hash64[:, 0], CANDIDATE_RADIUS)
        else:
            near = cross_pairs(left.hash64[:, 0], other.hash64[:, orientation], CANDIDATE_RADIUS)
            near = near[near[:, 0] < near[:, 1]] if right is None else near
        found.append(_confirmed(left, other, near, orientation))
    parts = [[getattr(match, name) for match in found] for name in Matches.__annotations__]
    return Matches(*(np.concatenate([np.empty(0, np.int64), *part]) for part in parts))


def _confirmed(left: Signatures, right: Signatures, near: Ints, orientation: int) -> Matches:
    kept: list[Ints] = [np.empty((0, 4), np.int64)]
    for begin in range(0, len(near), 1 << 14):
        some = near[begin : begin + (1 << 14)]
        one, two = some[:, 0], some[:, 1]
        far = distances(left.hash256[one, 0], right.hash256[two, orientation])
        same = far <= CONFIRM_RADIUS
        flat = np.flatnonzero(same & (left.is_flat[one] | right.is_flat[two]))
        rows, others = left.look[one[flat]], right.look[two[flat]]
        alike = np.zeros(len(flat), bool)
        both = np.flatnonzero((rows >= 0) & (others >= 0))
        for start in range(0, len(both), 512):
            these = both[start : start + 512]
            copies = turned_looks(right.looks[others[these]], orientation)
            alike[these] = looks_alike(left.looks[rows[these]], copies)
        same[flat] = alike
        kept.append(np.column_stack([some, far])[same])
    rows = np.concatenate(kept)
    left_rows, right_rows, near64, far256 = (np.asarray(column, np.int64) for column in rows.T)
    return Matches(left_rows, right_rows, np.full(len(rows), orientation, np.int64), near64, far256)


# ---------------------------------------------------------------- groups


def groups(count: int, edges: Iterable[tuple[Ints, Ints]]) -> Ints:
    """Union-find over edges given some at a time.

    Returns:
        The smallest member of each one's group, shape (count,).
    """
    parent = np.arange(count, dtype=np.int64)
    for one, two in edges:
        while True:
            first, second = _roots(parent, one), _roots(parent, two)
            apart = np.flatnonzero(first != second)
            if not len(apart):
                break
            one, two, first, second = one[apart], two[apart], first[apart], second[apart]
            # Every larger root is hung under the smallest root it was found beside; what remains apart comes again.
            np.minimum.at(parent, np.maximum(first, second), np.minimum(first, second))
    return _roots(parent, np.arange(count))


def _roots(parent: Ints, nodes: Ints) -> Ints:
    roots = parent[nodes]
    while True:
        above = parent[roots]
        if np.array_equal(above, roots):
            parent[nodes] = roots
            return roots
        roots = above


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What decides which copy is kept."""

    id: str
    pixels: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Copy:
    """A picture left out, and why."""

    id: str
    kept: str
    """Id of the picture kept in its place."""
    beside: str
    """Id of the picture it was found to match, nearest first; another than ``kept`` where a chain leads there."""
    bits64: int
    bits256: int
    orientation: int
    why: str


@dataclass(frozen=True)
class CopyReport:
    """Ids kept and pictures left out, both in the order given."""

    kept: list[str]
    dropped: list[Copy]


def find_duplicates(
    signatures: Signatures, facts: Sequence[PictureFacts], *, orientations: Iterable[int] = (0,)
) -> CopyReport:
    """Group pictures that show the same and keep one of each group.

    Args:
        signatures: of the pictures.
        facts: of the same pictures; ids must differ.
        orientations: which turned or mirrored copies count, see :func:`matches`; 0 is always among them.

    Raises:
        UsageError: the two are not equally many, or an id comes twice.
    """
    if len(facts) != len(signatures):
        raise UsageError(f"{len(signatures)} signatures, {len(facts)} facts; give one of each a picture")
    if len({fact.id for fact in facts}) != len(facts):
        raise UsageError("two pictures have the same id; ids must differ")
    first = _same_signature(signatures)
    distinct = np.flatnonzero(first == np.arange(len(first)))
    found = matches(signatures.take(distinct), orientations=sorted({0, *orientations}))
    left, right = distinct[found.left], distinct[found.right]
    group = groups(len(facts), [(np.arange(len(facts)), first), (left, right)])
    links: dict[int, tuple[int, int, int, int]] = {}  # picture → bits256, bits64, orientation, beside
    for one, two, turn, near, far in zip(left, right, found.orientation, found.bits64, found.bits256, strict=True):
        for here, there in ((int(one), int(two)), (int(two), int(one))):
            links[here] = min(links.get(here, (1 << 30, 0, 0, 0)), (int(far), int(near), int(turn), there))

    def rank(row: int) -> tuple[int, int, str]:
        return -facts[row].pixels, -facts[row].bytes, facts[row].id

    best: dict[int, int] = {}
    for row, root in enumerate(group.tolist()):
        best[root] = min(best.get(root, row), row, key=rank)
    direct = {(int(a), int(b)): n for n, (a, b) in enumerate(zip(left, right, strict=True))}
    dropped = []
    for row, root in enumerate(group.tolist()):
        kept = best[root]
        if kept == row:
            continue
        here, there = int(first[row]), int(first[kept])
        if here == there:
            link = (0, 0, 0, kept)
        elif (n := direct.get((min(here, there), max(here, there)))) is not None:
            link = (int(found.bits256[n]), int(found.bits64[n]), int(found.orientation[n]), kept)
        else:
            link = links[here]
        dropped.append(_explained(facts[row], facts[kept], facts[link[3]], link))
    return CopyReport([facts[row].id for row, root in enumerate(group.tolist()) if best[root] == row], dropped)


def _same_signature(signatures: Signatures) -> Ints:
    """The first picture of the same signature, small copy included: a thousand equal files are one in the search."""
    copies = np.array([hash(look.tobytes()) for look in signatures.looks], np.int64)
    look = np.where(signatures.look < 0, 0, copies[signatures.look] if len(copies) else 0).view(np.uint64)
    rows = np.column_stack([signatures.hash64[:, 0], signatures.hash256[:, 0], look])
    _, index, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return np.asarray(index[inverse.reshape(-1)], np.int64)


def _explained(fact: PictureFacts, kept: PictureFacts, beside: PictureFacts, link: tuple[int, int, int, int]) -> Copy:
    bits256, bits64, turn, _ = link
    if kept.pixels != fact.pixels:
        reason = f"which is larger: {kept.pixels:,} pixels against {fact.pixels:,}"
    elif kept.bytes != fact.bytes:
        reason = f"which has more bytes: {kept.bytes:,} against {fact.bytes:,}"
    else:
        reason = "which is as large and comes first by its id"
    words = ["mirrored"] * (turn >= 4) + [f"turned {90 * (turn % 4)}°"] * (turn % 4 > 0)
    turning = f", {' and '.join(words)}" if words else ""
    chain = "" if beside.id == kept.id else f" by way of {beside.id}"
    why = f"a copy of {kept.id}{chain} (64-bit distance {bits64}, 256-bit {bits256}{turning}), {reason}"
    return Copy(fact.id, kept.id, beside.id, bits64, bits256, turn, why)
