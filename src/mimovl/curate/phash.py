"""Perceptual hashes of pictures, and the removal of training pictures that look like held-out ones.

    hash_images(list of encoded pictures)            64 bits each, shape (N,)
    hash_images(list of encoded pictures, bits=256)  shape (N, 4)

The classic DCT hash (Zauner 2010; the same bits, in the same order, as the ``imagehash`` library's ``phash``): grey,
32 × 32 with Lanczos, two-dimensional DCT-II, the 8 × 8 lowest frequencies, one bit each: above their median or not.
It keeps its value under re-encoding, resizing and small changes of brightness. It hardly sees colour.

``phash64`` follows that to the letter, from a decoded picture. ``hash_images`` begins at means of up to 8 × 8 pixels
(``grey``), which a JPEG gives without being decoded in full, and does scaling and DCT of a whole batch as two products
of matrices: a third of a bit from ``imagehash`` on average and five times as fast. 256 bits are the 16 × 16 lowest
frequencies of 64 × 64. Hashes of different definitions do not compare: keep ``HASH_NAMES[bits]`` with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.fft import dctn

from mimovl.curate.grey import Grey, read_grey
from mimovl.errors import UsageError

__all__ = [
    "HASH_NAMES",
    "HeldoutMatches",
    "hash_cells",
    "hash_images",
    "phash64",
    "phash64_clip",
    "remove_heldout_matches",
]

HASH_NAMES = {64: "mimovl-dct64-v1", 256: "mimovl-dct256-v1"}
"""Name and version of what ``hash_images`` computes, to be stored beside the hashes; it changes when one bit does."""

_SIDE = 32
_LOW = 8


def hash_images(images: Sequence[bytes], bits: int = 64) -> npt.NDArray[np.uint64]:
    """Perceptual hashes of encoded pictures.

    Args:
        images: files as bytes: JPEG, PNG, WebP, GIF, TIFF, …; turned upright where EXIF says so.
        bits: 64 or 256.

    Returns:
        Shape (N,) for 64 bits, (N, 4) for 256, the first bit highest: read as one big-endian number, they compare with
        ``imagehash.phash`` (of ``hash_size=16`` for 256).

    Raises:
        UsageError: ``bits`` is neither.
        MediaError: a picture cannot be decoded; names its place, ``reason`` says why.
    """
    if bits not in HASH_NAMES:
        raise UsageError(f"hashes of {bits} bits are not computed; give 64 or 256")
    cells = [read_grey(data, name=f"image {number}") for number, data in enumerate(images)]
    hashes = hash_cells(cells, bits)
    return hashes[:, 0, 0] if bits == 64 else hashes[:, 0]


def hash_cells(cells: Sequence[Grey], bits: int, *, orientations: int = 1) -> npt.NDArray[np.uint64]:
    """Perceptual hashes of what :func:`mimovl.curate.grey.read_grey` read.

    Mirroring a picture flips the signs of its odd frequencies across, turning it exchanges rows and columns as
    well: all eight orientations come from one transform.

    Args:
        cells: brightness of each picture, of any sizes.
        bits: 64 or 256.
        orientations: how many of the eight, as numbered by :func:`mimovl.curate.grey.turned`.

    Returns:
        Shape (N, orientations, bits / 64).
    """
    keep = 8 if bits == 64 else 16
    spectra = np.empty((len(cells), keep, keep))
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for number, picture in enumerate(cells):
        by_shape.setdefault(picture.shape, []).append(number)
    for (height, width), numbers in by_shape.items():
        across, down = _scale_and_transform(width, keep).T, _scale_and_transform(height, keep)
        step = max(1, (1 << 17) // (height * width))  # as doubles a megabyte, which a core's cache holds
        for begin in range(0, len(numbers), step):
            some = numbers[begin : begin + step]
            pixels = np.stack([cells[number] for number in some]).astype(np.float64)
            spectra[some] = down @ (pixels @ across)
    views = [_turned_spectra(spectra, orientation) for orientation in range(orientations)]
    low = np.round(np.stack(views, axis=1).reshape(len(cells), orientations, keep * keep), 6)
    above = low > np.median(low, axis=2, keepdims=True)
    return np.packbits(above, axis=2).view(">u8").astype(np.uint64)


def _turned_spectra(spectra: npt.NDArray[np.float64], orientation: int) -> npt.NDArray[np.float64]:
    """The spectra of pictures turned as :func:`mimovl.curate.grey.turned` does."""
    signs = np.where(np.arange(spectra.shape[-1]) % 2, -1.0, 1.0)
    if orientation >= 4:
        spectra = spectra * signs
    for _ in range(orientation % 4):
        spectra = spectra.swapaxes(1, 2) * signs[:, None]
    return spectra


@lru_cache(maxsize=1024)
def _scale_and_transform(size: int, keep: int) -> npt.NDArray[np.float64]:
    """Lanczos scaling of a line of pixels to 4 · keep, and the lowest frequencies of its DCT-II, shape (keep, size).

    The weights are those of PIL's ``resize``, which rounds to bytes after either direction; here nothing is rounded.
    """
    target = 4 * keep
    scale = size / target
    support = 3.0 * max(scale, 1.0)
    weights = np.zeros((target, size))
    for place in range(target):
        center = (place + 0.5) * scale
        first, last = max(0, int(center - support + 0.5)), min(size, int(center + support + 0.5))
        x = (np.arange(first, last) + 0.5 - center) / max(scale, 1.0)
        row = np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)
        weights[place, first:last] = row / row.sum()
    basis = 2 * np.cos(np.pi * np.arange(keep)[:, None] * (2 * np.arange(target)[None] + 1) / (2 * target))
    return np.asarray(basis @ weights)


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
