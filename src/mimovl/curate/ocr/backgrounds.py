"""What pages and signs stand on: paper, walls, wood, soft colours, or photos of the user's.

A photo is used as found, cut at a random place; one that cannot be decoded is passed over.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from mimovl.curate.decode import decode
from mimovl.errors import DataError, MediaError

__all__ = ["RGB", "backdrop", "contrast_with", "find_photos", "luminance", "paper"]

RGB = tuple[int, int, int]
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
_MAX_PHOTO_PIXELS = 40_000_000
_TRIES = 8


def find_photos(folder: str) -> tuple[Path, ...]:
    """The pictures of a folder and its subfolders, in order of their names.

    Raises:
        DataError: no such folder, or no picture in it.
    """
    if not Path(folder).is_dir():
        raise DataError(f"{folder}: no such folder; photos names one that holds pictures for backgrounds")
    found = tuple(path for path in sorted(Path(folder).rglob("*")) if path.suffix.lower() in _SUFFIXES)
    if not found:
        raise DataError(f"{folder}: no picture in it (looked for {', '.join(sorted(_SUFFIXES))})")
    return found


def luminance(colour: Sequence[float]) -> float:
    """How bright a colour is, 0 to 255 (BT.601)."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def contrast_with(rng: random.Random, ground: Sequence[float], *, least: float = 110) -> RGB:
    """A colour to write with that differs from the ground by ``least`` in luminance."""
    bright = luminance(ground) < 128
    for _ in range(40):
        low, high = (190, 255) if bright else (0, 110)
        colour = (rng.randint(low, high), rng.randint(low, high), rng.randint(low, high))
        if abs(luminance(colour) - luminance(ground)) >= least:
            return colour
    return (250, 250, 250) if bright else (10, 10, 10)


def paper(rng: random.Random, size: tuple[int, int]) -> Image.Image:
    """A light sheet: white, cream or grey, with grain, a slow shade and sometimes a fold."""
    width, height = size
    tint = np.asarray(rng.choice(((252, 252, 250), (246, 240, 226), (238, 238, 236), (250, 246, 238))), np.float32)
    shade = _slow(rng, size, 3) * rng.uniform(0, 9)
    grain = _noise(rng, (height, width)) * rng.uniform(0, 2.2)
    pixels = tint + (shade + grain)[..., None]
    if rng.random() < 0.2:
        fold = np.abs(np.arange(height) - rng.uniform(0.3, 0.7) * height)[:, None, None]
        pixels = pixels - 14 * np.exp(-fold / 2.5)
    return _picture(pixels)


def backdrop(rng: random.Random, size: tuple[int, int], photos: Sequence[Path] = ()) -> Image.Image:
    """Something to stand on: a cut of a photo where there are any, else a wall, wood, stripes or soft colours."""
    for _ in range(_TRIES if photos else 0):
        path = rng.choice(photos)
        place = rng.random(), rng.random()
        try:
            photo = decode(path.read_bytes(), name=path.name, max_pixels=_MAX_PHOTO_PIXELS).image
        except (OSError, MediaError):
            continue
        return _cut(photo, size, place)
    return rng.choice((_wall, _wood, _bricks, _soft, _soft))(rng, size)


def _cut(photo: Image.Image, size: tuple[int, int], place: tuple[float, float]) -> Image.Image:
    """The largest cut of the wanted shape, at a place from 0 to 1 along what is left over."""
    width, height = size
    scale = min(photo.width / width, photo.height / height)
    cut = (scale * width, scale * height)
    left, top = place[0] * (photo.width - cut[0]), place[1] * (photo.height - cut[1])
    box = (left, top, left + cut[0], top + cut[1])
    return photo.resize(size, Image.Resampling.BICUBIC, box=box, reducing_gap=2.0)


def _wall(rng: random.Random, size: tuple[int, int]) -> Image.Image:
    base = np.asarray([rng.randint(60, 220) for _ in range(3)], np.float32)
    relief = _slow(rng, size, 12) * 8 + ndimage.gaussian_filter(_noise(rng, size[::-1]), 1.2) * 16
    return _picture(base + relief[..., None])


def _wood(rng: random.Random, size: tuple[int, int]) -> Image.Image:
    width, height = size
    base = np.asarray(rng.choice(((150, 105, 62), (110, 74, 46), (188, 150, 104), (84, 60, 44))), np.float32)
    rows = np.arange(height)[:, None] + _slow(rng, size, 5) * 14
    rings = np.sin(rows / rng.uniform(3, 9)) * 9 + ndimage.gaussian_filter(_noise(rng, (height, width)), (0.4, 9)) * 30
    planks = -26.0 * ((np.arange(height) % rng.randint(70, 140)) < 2)[:, None]
    return _picture(base + (rings + planks)[..., None])


def _bricks(rng: random.Random, size: tuple[int, int]) -> Image.Image:
    width, height = size
    tall, wide = rng.randint(18, 34), rng.randint(50, 90)
    rows, columns = np.mgrid[0:height, 0:width]
    shifted = columns + (rows // tall % 2) * (wide // 2)
    joint = (rows % tall < 3) | (shifted % wide < 3)
    tone = np.random.default_rng(rng.getrandbits(32)).uniform(-18, 18, (height // tall + 1, width // wide + 3))
    each = tone[rows // tall, shifted // wide] + _noise(rng, (height, width)) * 6
    base = np.asarray(rng.choice(((150, 72, 54), (176, 170, 160), (120, 84, 70))), np.float32)
    grey = np.asarray((178, 172, 164), np.float32)
    return _picture(np.where(joint[..., None], grey, base + each[..., None]))


def _soft(rng: random.Random, size: tuple[int, int]) -> Image.Image:
    """Out-of-focus colours: a grid of a few pixels, blown up."""
    chance = np.random.default_rng(rng.getrandbits(32))
    cells = chance.integers(30, 220, (rng.randint(2, 4), rng.randint(2, 5), 1)) + chance.integers(-34, 35, (1, 1, 3))
    cells = (cells + chance.integers(-16, 17, (*cells.shape[:2], 3))).clip(0, 255)
    return Image.fromarray(cells.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)


def _slow(rng: random.Random, size: tuple[int, int], cells: int) -> NDArray[np.float32]:
    """Smooth noise of about unit size, shape (height, width)."""
    seeds = np.random.default_rng(rng.getrandbits(32)).standard_normal((cells, cells)).astype(np.float32)
    return np.asarray(Image.fromarray(seeds).resize(size, Image.Resampling.BICUBIC))


def _noise(rng: random.Random, shape: tuple[int, int]) -> NDArray[np.float32]:
    return np.random.default_rng(rng.getrandbits(32)).standard_normal(shape, dtype=np.float32)


def _picture(pixels: NDArray[np.float32]) -> Image.Image:
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
