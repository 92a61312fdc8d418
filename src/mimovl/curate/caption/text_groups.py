"""Groups of texts that say the same: in the same words, or nearly, by MinHash (Broder 1997).

A text is the set of its words (Chinese: characters) and of the pairs of neighbours. Two sets that share four fifths
get equal minima in about four fifths of 64 hash functions; 16 bands of four of them, each one 64-bit number, bring
such texts together with probability .9998 without comparing all pairs, and the 64 then say how alike they are (±.05).
136 bytes a text. The hash functions are fixed, so that the same texts give the same groups on every machine.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mimovl.curate.caption.canonical import canonical_bytes
from mimovl.curate.near_duplicates import groups

__all__ = ["Fingerprints", "fingerprint", "likeness", "text_groups"]

HASHES, BANDS = 64, 16
_SIGN_FROM = b"\xe3\x80\x85"
"""First bytes of a Chinese character in UTF-8 (U+3005)."""
_MIX = np.uint64(0x9E3779B97F4A7C15)

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Fingerprints:
    """N texts as numbers."""

    exact: npt.NDArray[np.uint64]
    """Hash of the words in order, shape (N,); 0 for a text without one."""
    minima: npt.NDArray[np.uint16]
    """Low 16 bits of each hash function's minimum, shape (N, 64)."""

    @classmethod
    def join(cls, parts: Sequence[Fingerprints]) -> Fingerprints:
        """Several sets as one."""
        return cls(np.concatenate([part.exact for part in parts]), np.concatenate([part.minima for part in parts]))

    def take(self, rows: Ints) -> Fingerprints:
        """Some of them, in that order."""
        return Fingerprints(self.exact[rows], self.minima[rows])


def fingerprint(texts: Sequence[str], *, batch: int = 2000) -> Fingerprints:
    """Fingerprints of texts, in their order."""
    parts = [_fingerprint(texts[start : start + batch]) for start in range(0, len(texts), batch)]
    empty = Fingerprints(np.zeros(0, np.uint64), np.zeros((0, HASHES), np.uint16))
    return Fingerprints.join([*parts, empty])


def _fingerprint(texts: Sequence[str]) -> Fingerprints:
    lines = canonical_bytes(texts)[0].split(b"\n")[: len(texts)]
    exact = np.zeros(len(texts), np.uint64)
    shingles: list[npt.NDArray[np.uint64]] = []
    for row, line in enumerate(lines):
        units = [unit for token in line.split() if token != b"|" for unit in _units(token)]
        if units:
            digest = hashlib.blake2b(b" ".join(units), digest_size=8).digest()
            exact[row] = int.from_bytes(digest, "big") or 1
        codes = np.fromiter(map(_code, units), np.uint64, count=len(units))
        pairs = (codes[:-1] * _MIX) ^ (codes[1:] + np.uint64(1))
        shingles.append(np.concatenate([codes, pairs]) if len(codes) else np.zeros(1, np.uint64))
    starts = np.cumsum([0, *(len(one) for one in shingles[:-1])])
    flat = np.concatenate(shingles)
    minima = np.empty((len(texts), HASHES), np.uint16)
    for number, (factor, offset) in enumerate(_functions()):
        mixed = flat * factor + offset
        mixed ^= mixed >> np.uint64(29)
        mixed *= _MIX
        mixed ^= mixed >> np.uint64(32)
        minima[:, number] = np.minimum.reduceat(mixed, starts) & np.uint64(0xFFFF)
    return Fingerprints(exact, minima)


def likeness(one: npt.NDArray[np.uint16], other: npt.NDArray[np.uint16]) -> npt.NDArray[np.float64]:
    """Estimated share of what two texts have in common (Jaccard), pair by pair, shape (K,)."""
    return np.asarray((one == other).mean(axis=-1))


def text_groups(prints: Fingerprints, least: float) -> Ints:
    """The first text of each one's group, shape (N,).

    Args:
        prints: of the texts.
        least: likeness from which texts go together; 1 for the same words in the same order alone. Groups are chains:
            their ends may be less alike. A text without a word is alone.
    """
    count = len(prints.exact)
    return groups(count, _edges(prints, least)) if count else np.zeros(0, np.int64)


def _edges(prints: Fingerprints, least: float) -> Iterator[tuple[Ints, Ints]]:
    words = np.flatnonzero(prints.exact)
    order = words[np.argsort(prints.exact[words], kind="stable")]
    same = prints.exact[order[1:]] == prints.exact[order[:-1]]
    yield order[:-1][same], order[1:][same]
    if least >= 1:
        return
    distinct = order[np.append(True, ~same)] if len(order) else order
    distinct = np.sort(distinct)
    bands = np.ascontiguousarray(prints.minima[distinct]).view(np.uint64)
    for band in bands.T:
        order = np.argsort(band, kind="stable")
        new = np.append(True, band[order[1:]] != band[order[:-1]]) if len(order) else np.zeros(0, bool)
        # each text is compared with the first of its run and with the one before it
        first = order[np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))]
        for one, other in ((first, order), (np.roll(order, 1), order)):
            one, other = distinct[one[~new]], distinct[other[~new]]
            alike = likeness(prints.minima[one], prints.minima[other]) >= least
            yield one[alike], other[alike]


def _units(token: bytes) -> list[bytes]:
    """A Latin word as it is, a run of Chinese characters one by one."""
    if token < _SIGN_FROM or token[0] == 0xEA or token[0] == 0xEF:
        return [token]
    return [sign.encode() for sign in token.decode()]


@lru_cache(maxsize=1 << 18)
def _code(unit: bytes) -> int:
    return zlib.crc32(unit) | zlib.adler32(unit) << 32


@lru_cache(maxsize=1)
def _functions() -> list[tuple[np.uint64, np.uint64]]:
    drawn = [hashlib.blake2b(bytes([number]), digest_size=16).digest() for number in range(HASHES)]
    halves = [(int.from_bytes(one[:8], "big") | 1, int.from_bytes(one[8:], "big")) for one in drawn]
    return [(np.uint64(factor), np.uint64(offset)) for factor, offset in halves]
