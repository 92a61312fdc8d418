"""Perceptual hash of pictures, and the removal of training pictures that look like held-out ones.

The classic DCT hash (Zauner 2010; the same bits as the ``imagehash`` library's ``phash``): grey, 32 × 32 with
Lanczos, two-dimensional DCT-II, the 8 × 8 lowest frequencies, one bit each: above their median or not.
It keeps its value under re-encoding, resizing and small changes of brightness. It hardly sees colour.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.fft import dctn

__all__ = ["HeldoutMatches", "phash64", "phash64_clip", "remove_heldout_matches"]

_SIDE = 32
_LOW = 8


def phash64(image: Image.Image) -> int:
    """The 64-bit perceptual hash of a picture, row by row from the lowest frequency, first bit highest."""
    grey = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    spectrum = dctn(np.asarray(grey, dtype=np.float64), type=2)[:_LOW, :_LOW]
    # Rounded so that the zeros of a flat picture stay zeros on every machine.
    low = np.round(spectrum, 6)
    bits = np.packbits((low > np.median(low)).ravel())
    return int.from_bytes(bits.tobytes(), "big")


def phash64_clip(frames: Sequence[Image.Image]) -> int:
    """One hash for a clip: equal if and only if (but for chance) all frames have equal hashes, in order."""
    digest = hashlib.sha256(b"".join(phash64(frame).to_bytes(8, "big") for frame in frames)).digest()
    return int.from_bytes(digest[:8], "big")


@dataclass(frozen=True)
class HeldoutMatches:
    """Training ids in their order: those kept, and those removed because a held-out picture has the same hash."""

    kept: list[str]
    removed: list[str]

    @property
    def num_removed(self) -> int:
        """How many were removed."""
        return len(self.removed)


def remove_heldout_matches(train: Iterable[tuple[str, int]], heldout: Iterable[int]) -> HeldoutMatches:
    """Sort training ids by whether their picture looks like a held-out one.

    A match is exact equality of the 64 bits. Near matches (a few bits apart) are what one wants for photos, but
    drawn scenes, text pages and screens of one template lie within a few bits of each other without sharing
    anything; even equality removes some training scenes that only resemble a held-out one (the same shape at the
    same place in another colour), which errs on the safe side.

    Args:
        train: (id, hash) of each training picture; a sample with several pictures appears once a picture and is
            removed if one of them matches.
        heldout: Hashes of the held-out pictures.
    """
    forbidden = set(heldout)
    verdicts: dict[str, bool] = {}
    for name, value in train:
        verdicts[name] = verdicts.get(name, False) or value in forbidden
    return HeldoutMatches(
        kept=[name for name, matched in verdicts.items() if not matched],
        removed=[name for name, matched in verdicts.items() if matched],
    )
