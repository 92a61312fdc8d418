"""Words as coverage: set plainly, as if written by hand, or bent (waves, arches, slants, outlines, worn ink).

A word's mask is cut to what it covers, so its place on the page is all that is needed to know its box.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter
from scipy import ndimage

from mimovl.curate.ocr.faces import Face, font

__all__ = ["STYLES", "Lettered", "Style", "letter", "line_pitch", "space_width"]

Style = Literal["plain", "hand", "wave", "arch", "slant", "outline", "worn", "stretch"]
STYLES: tuple[Style, ...] = ("plain", "hand", "wave", "arch", "slant", "outline", "worn", "stretch")


@dataclass(frozen=True)
class Lettered:
    """A word's coverage, mode L. ``left`` and ``top`` are where it starts, from the pen on the base line."""

    mask: Image.Image
    left: int
    top: int
    advance: int


def line_pitch(face: Face, size: int) -> int:
    """Ascent plus descent, pixels."""
    return sum(font(face, size).getmetrics())


def space_width(face: Face, size: int) -> int:
    """Width of a space, never so narrow that two words read as one."""
    return max(round(font(face, size).getlength(" ")), size // 4, 2)


def letter(text: str, face: Face, size: int, style: Style, rng: random.Random, *, lean: float = 0.1) -> Lettered | None:
    """Draw one word; None if it has no ink.

    Args:
        text: without spaces at its ends.
        face: the typeface.
        size: pixels.
        style: one of ``STYLES``; all but ``plain`` draw from ``rng``.
        rng: where chance comes from.
        lean: of a hand: how far it leans to the right, pixels per pixel of height.
    """
    plain = _written(text, face, size, rng, lean) if style == "hand" else _set(text, face, size)
    if plain is None or style in ("plain", "hand"):
        return plain
    pixels = np.asarray(plain.mask, dtype=np.float32)
    width, height = plain.mask.size
    margin = size // 2 + 2
    pixels = np.pad(pixels, margin)
    rows, columns = np.mgrid[0 : pixels.shape[0], 0 : pixels.shape[1]].astype(np.float32)
    if style == "wave":
        swing, length = rng.uniform(0.08, 0.2) * size, rng.uniform(2.5, 5.0) * size
        pixels = _moved(pixels, rows + swing * np.sin(2 * math.pi * columns / length + rng.uniform(0, 6)), columns)
    elif style == "arch":
        across = (columns - margin - width / 2) / max(width, 1)
        pixels = _moved(pixels, rows + rng.choice((-1, 1)) * min(0.35 * size, 0.3 * width) * 4 * across**2, columns)
    elif style == "slant":
        pixels = _moved(pixels, rows, columns + rng.uniform(-0.35, 0.35) * (rows - margin - height / 2))
    elif style == "stretch":
        grow = 1 + rng.uniform(0.25, 0.6) * (columns - margin - width / 2) / max(width, 1)
        pixels = _moved(pixels, (rows - margin - height / 2) / grow + margin + height / 2, columns)
    elif style == "worn":
        noise = ndimage.gaussian_filter(_noise(rng, pixels.shape), 0.9)
        pixels = pixels * np.clip(1.25 - 1.6 * np.maximum(noise * 2.6 - 0.55, 0), 0.0, 1.0)
    else:  # outline
        solid = Image.fromarray(pixels.astype(np.uint8))
        hollow = ImageChops.subtract(solid.filter(ImageFilter.MaxFilter(3)), solid.filter(ImageFilter.MinFilter(3)))
        pixels = np.asarray(hollow, dtype=np.float32)
    return _cut(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), plain.left - margin, plain.top - margin, plain)


@lru_cache(maxsize=8192)
def _set(text: str, face: Face, size: int) -> Lettered | None:
    """Set in one go, with the face's own kerning."""
    loaded = font(face, size)
    left, top, right, bottom = (round(side) for side in loaded.getbbox(text, anchor="ls"))
    canvas = Image.new("L", (max(right - left, 1) + 4, max(bottom - top, 1) + 4))
    ImageDraw.Draw(canvas).text((2 - left, 2 - top), text, fill=255, font=loaded, anchor="ls")
    advance = max(1, round(loaded.getlength(text)))
    return _cut(canvas, left - 2, top - 2, Lettered(canvas, 0, 0, advance))


def _written(text: str, face: Face, size: int, rng: random.Random, lean: float) -> Lettered | None:
    """Glyph by glyph, none quite straight, level or of the same size, then bent a little as a whole."""
    slant, pen, drift = lean + rng.uniform(-0.04, 0.04), 0.0, 0.0
    parts = []
    for char in text:
        loaded = font(face, max(6, round(size * rng.uniform(0.93, 1.07))))
        side, corner = 2 * size, (size // 2, round(1.4 * size))
        glyph = Image.new("L", (side, side))
        ImageDraw.Draw(glyph).text(corner, char, fill=255, font=loaded, anchor="ls")
        turn = glyph.rotate(rng.uniform(-5, 5), Image.Resampling.BICUBIC, center=corner)
        drift = 0.6 * drift + rng.uniform(-0.03, 0.03) * size
        extent = turn.getbbox()
        if extent is not None:
            left, top = extent[0] - corner[0] + round(pen), extent[1] - corner[1] + round(drift)
            parts.append((turn.crop(extent), left, top))
        pen += loaded.getlength(char) * rng.uniform(0.93, 1.03)
    if not parts:
        return None
    margin = size
    left, top = min(part[1] for part in parts) - margin, min(part[2] for part in parts) - margin
    right = max(part[1] + part[0].width for part in parts) + margin
    bottom = max(part[2] + part[0].height for part in parts) + margin
    canvas = Image.new("L", (right - left, bottom - top))
    for mask, x, y in parts:
        canvas.paste(255, (x - left, y - top), mask)
    pixels = np.asarray(canvas, dtype=np.float32)
    rows, columns = np.mgrid[0 : pixels.shape[0], 0 : pixels.shape[1]].astype(np.float32)
    wobble = 0.035 * size
    down = wobble * np.sin(columns / (0.9 * size) + rng.uniform(0, 6))
    across = slant * (rows + top) + wobble * np.sin(rows / (0.6 * size) + rng.uniform(0, 6))
    bent = Image.fromarray(_moved(pixels, rows + down, columns + across).clip(0, 255).astype(np.uint8))
    return _cut(bent, left, top, Lettered(canvas, 0, 0, max(1, round(pen))))


def _moved(pixels: NDArray[np.float32], rows: NDArray[np.float32], columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each pixel from where ``rows`` and ``columns`` say."""
    moved: NDArray[np.float32] = ndimage.map_coordinates(pixels, [rows, columns], order=1, mode="constant")
    return moved


def _noise(rng: random.Random, shape: tuple[int, ...]) -> NDArray[np.float64]:
    return np.random.default_rng(rng.getrandbits(32)).standard_normal(shape)


def _cut(canvas: Image.Image, left: int, top: int, before: Lettered) -> Lettered | None:
    extent = canvas.getbbox()
    if extent is None:
        return None
    return Lettered(canvas.crop(extent), left + extent[0], top + extent[1], before.advance)
