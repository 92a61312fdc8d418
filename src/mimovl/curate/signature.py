"""What near-duplicate search keeps of a picture: two hashes and, of pages and screens, a small grey copy.

    signatures, refused = sign(pictures)        from one reduced decode each
    signatures.save("shard-00001.npz")          with the hashes' names and versions

A hash of low frequencies sees how a page is laid out, not what it says: different text pages lie within 8 of 64 bits
of each other, and all screens of one interface do. What gives them away is what makes them alike: most of their
neighbouring cells are equally bright. Such flat pictures are compared by their cells as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mimovl.curate.grey import Grey, read_grey, turned
from mimovl.curate.phash import HASH_NAMES, hash_cells
from mimovl.errors import DataError, MediaError

__all__ = ["FLAT", "LOOK_SIDE", "LOOK_TOLERANCE", "Signatures", "flat_share", "looks_alike", "sign", "turned_looks"]

FLAT = 0.35
"""Share of neighbouring cells equal in brightness from which a picture is a page, a chart or a screen: photos, those of
smooth things included, stay below a quarter; pages begin at nearly a half."""
LOOK_SIDE = 64
"""The small copy has so many cells a side."""
LOOK_TOLERANCE = 16.0
"""Grey levels a cell may be off, once brightness and contrast are equal: scaling errs by less, a word by more."""
_NEAR_FLAT = 0.7
_FINE = 256
"""Cells a side of what small copies are made of: at 64 a copy would depend on where the cells begin."""


@dataclass(frozen=True)
class Signatures:
    """N pictures as numbers."""

    hash64: npt.NDArray[np.uint64]
    """Shape (N, T): T orientations, the picture as it is first."""
    hash256: npt.NDArray[np.uint64]
    """Shape (N, T, 4)."""
    flat: npt.NDArray[np.float32]
    """Share of neighbouring cells alike, shape (N,)."""
    look: npt.NDArray[np.int32]
    """Row of ``looks`` that is the picture's small copy, −1 where none is kept, shape (N,)."""
    looks: Grey
    """Small grey copies of flat pictures, shape (F, 64, 64)."""

    def __len__(self) -> int:
        return len(self.hash64)

    @property
    def is_flat(self) -> npt.NDArray[np.bool_]:
        """Which are pages, charts or screens, shape (N,)."""
        return np.asarray(self.flat >= FLAT)

    def take(self, rows: npt.NDArray[np.int64]) -> Signatures:
        """Some of them, in that order; all small copies are kept."""
        chosen = {name: getattr(self, name)[rows] for name in ("hash64", "hash256", "flat", "look")}
        return replace(self, **chosen)

    def save(self, path: Path | str) -> None:
        """Write them to an ``.npz`` file with the names of the hashes."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        names = np.array([HASH_NAMES[64], HASH_NAMES[256]])
        with open(path, "wb") as file:
            np.savez(file, names=names, **arrays)

    @classmethod
    def load(cls, path: Path | str) -> Signatures:
        """Read what ``save`` wrote.

        Raises:
            DataError: it is something else, or was made with other hashes.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                names = file["names"].tolist()
                arrays: dict[str, Any] = {field.name: file[field.name] for field in fields(cls)}
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise DataError(f"{path} holds no signatures ({error}); make them again") from None
        if names != [HASH_NAMES[64], HASH_NAMES[256]]:
            raise DataError(
                f"{path} holds hashes {', '.join(names)}, this mimovl computes {', '.join(HASH_NAMES.values())}; "
                "they do not compare: make them again"
            )
        return cls(**arrays)

    @classmethod
    def join(cls, parts: Sequence[Signatures]) -> Signatures:
        """Several sets as one."""
        begins = np.cumsum([0, *(len(part.looks) for part in parts)])
        look = [np.where(part.look < 0, -1, part.look + begin) for part, begin in zip(parts, begins, strict=False)]
        return cls(
            hash64=np.concatenate([part.hash64 for part in parts]),
            hash256=np.concatenate([part.hash256 for part in parts]),
            flat=np.concatenate([part.flat for part in parts]),
            look=np.concatenate(look).astype(np.int32),
            looks=np.concatenate([part.looks for part in parts]),
        )


def sign(
    pictures: Iterable[bytes], *, orientations: int = 1, batch: int = 256
) -> tuple[Signatures, dict[int, MediaError]]:
    """Sign pictures; those that cannot be decoded are left out.

    Args:
        pictures: encoded pictures, taken a batch at a time.
        orientations: hashes in so many orientations (8: turned and mirrored as well).
        batch: pictures in memory at once.

    Returns:
        The signatures of the readable ones in their order; and the error of each unreadable one by its place.
    """
    parts: list[Signatures] = []
    refused: dict[int, MediaError] = {}
    cells: list[Grey] = []
    looks: dict[int, Grey] = {}
    for number, data in enumerate(pictures):
        try:
            grey = read_grey(data, name=f"image {number}")
            if flat_share(grey) >= _NEAR_FLAT * FLAT:
                looks[len(cells)] = _small(read_grey(data, name=f"image {number}", dc_only=False, least=_FINE))
            cells.append(grey)
        except MediaError as error:
            refused[number] = error
        if len(cells) == batch:
            parts.append(_sign(cells, looks, orientations))
            cells, looks = [], {}
    parts.append(_sign(cells, looks, orientations))
    return Signatures.join(parts), refused


def flat_share(cells: Grey) -> float:
    """Share of neighbouring cells that are equally bright."""
    across, down = cells[:, 1:] == cells[:, :-1], cells[1:] == cells[:-1]
    return float((across.sum() + down.sum()) / max(1, across.size + down.size))


def looks_alike(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Whether small copies are of the same picture, pair by pair.

    The second is fitted to the first by one gain and one offset, and the worst cell decides: a page differs from
    another everywhere, a screen from the next perhaps in one word.

    Args:
        one: shape (K, 64, 64).
        other: shape (K, 64, 64).

    Returns:
        Shape (K,).
    """
    a = one.reshape(len(one), -1).astype(np.float32)
    b = other.reshape(len(other), -1).astype(np.float32)
    a -= a.mean(axis=1, keepdims=True)
    b -= b.mean(axis=1, keepdims=True)
    gain = (a * b).sum(axis=1) / np.maximum((b * b).sum(axis=1), 1e-6)
    flat = (a * a).sum(axis=1) + (b * b).sum(axis=1) < 1e-3
    gain = np.where(flat, 1.0, gain)
    # Measured in the levels of the stronger of the two, so that contrast lost is no excuse.
    worst = np.abs(a - gain[:, None] * b).max(axis=1) / np.minimum(1.0, np.maximum(gain, 1e-6))
    return np.asarray((gain > 0.4) & (gain < 2.5) & (worst <= LOOK_TOLERANCE))


def _sign(cells: Sequence[Grey], copies: Mapping[int, Grey], orientations: int) -> Signatures:
    flat = np.array([flat_share(picture) for picture in cells], np.float32)
    look = np.full(len(cells), -1, np.int32)
    look[list(copies)] = np.arange(len(copies))
    looks = np.array(list(copies.values()), np.uint8).reshape(-1, LOOK_SIDE, LOOK_SIDE)
    hash64 = hash_cells(cells, 64, orientations=orientations)[:, :, 0]
    return Signatures(hash64, hash_cells(cells, 256, orientations=orientations), flat, look, looks)


def _small(cells: Grey) -> Grey:
    """The picture in 64 × 64 cells, each the mean of what it covers, parts of cells counted as parts."""
    down, across = _coverage(cells.shape[0]), _coverage(cells.shape[1])
    return np.asarray(np.rint(down @ cells.astype(np.float64) @ across.T), np.uint8)


@lru_cache(maxsize=256)
def _coverage(size: int) -> npt.NDArray[np.float64]:
    """How much of each of 64 equal parts of a line each of its cells is, shape (64, size)."""
    edges = np.arange(LOOK_SIDE + 1) * size / LOOK_SIDE
    begin, end = edges[:-1, None], edges[1:, None]
    place = np.arange(size)[None]
    covered = np.minimum(end, place + 1) - np.maximum(begin, place)
    return np.asarray(np.maximum(covered, 0.0) / (end - begin))


def turned_looks(looks: Grey, orientation: int) -> Grey:
    """Small copies in another orientation, shape (K, 64, 64)."""
    return np.asarray(turned(looks.transpose(1, 2, 0), orientation).transpose(2, 0, 1))
