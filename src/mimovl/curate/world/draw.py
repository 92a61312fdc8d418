"""Shapes and backgrounds. A shape is an anti-aliased mask cut to its ink, so its box is exact by construction."""

from __future__ import annotations

import math
import random
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

__all__ = ["RGB", "background", "shape_mask", "shape_rgb"]

RGB = tuple[int, int, int]

_SUPERSAMPLE = 4
_FAINT = 64
"""Rows and columns fainter than this coverage (of 255) are cut off a mask."""
_RGB: dict[str, RGB] = {
    "red": (214, 38, 40),
    "green": (38, 158, 62),
    "blue": (42, 92, 222),
    "yellow": (238, 205, 24),
    "purple": (142, 58, 182),
    "orange": (244, 128, 26),
}
_JITTER = 8


@lru_cache(maxsize=1024)
def shape_mask(shape: str, side: int) -> Image.Image:
    """Coverage of a shape about ``side`` pixels wide, mode L, cut to its ink: its size is its box."""
    scale = _SUPERSAMPLE
    canvas = Image.new("L", ((side + 2) * scale, (side + 2) * scale))
    draw = ImageDraw.Draw(canvas)
    low, high = scale, (side + 1) * scale - 1
    middle, radius = (low + high) / 2, (high - low) / 2
    if shape == "circle":
        draw.ellipse((low, low, high, high), fill=255)
    elif shape == "square":
        draw.rectangle((low, low, high, high), fill=255)
    elif shape == "triangle":
        draw.polygon([(middle, low), (high, high), (low, high)], fill=255)
    elif shape == "star":
        points = []
        for corner in range(10):
            reach = radius * (1.08 if corner % 2 == 0 else 0.46)
            angle = math.pi * corner / 5
            points.append((middle + reach * math.sin(angle), middle + 0.08 * radius - reach * math.cos(angle)))
        draw.polygon(points, fill=255)
    elif shape == "cross":
        arm = (high - low) / 6
        draw.rectangle((middle - arm, low, middle + arm, high), fill=255)
        draw.rectangle((low, middle - arm, high, middle + arm), fill=255)
    else:
        raise AssertionError(f"no such shape: {shape}")
    mask = canvas.reduce(scale)
    extent = mask.point([255 * (level >= _FAINT) for level in range(256)]).getbbox()
    assert extent is not None
    return mask.crop(extent)


def shape_rgb(rng: random.Random, colour: str) -> RGB:
    """A shade of a named colour."""
    red, green, blue = (min(255, max(0, level + rng.randint(-_JITTER, _JITTER))) for level in _RGB[colour])
    return (red, green, blue)


def background(rng: random.Random, width: int, height: int, *, dark_share: float, texture_share: float) -> Image.Image:
    """A nearly grey page, light or dark, sometimes with a gradient or faint noise, mode RGB."""
    low, high = (14, 44) if rng.random() < dark_share else (222, 250)
    base = [rng.randint(low, high) for _ in range(3)]
    if rng.random() >= texture_share:
        return Image.new("RGB", (width, height), (base[0], base[1], base[2]))
    if rng.random() < 0.5:
        ends = np.asarray([base, [rng.randint(low, high) for _ in range(3)]], dtype=np.float32)
        along_x = rng.random() < 0.5
        ramp = np.linspace(0.0, 1.0, width if along_x else height, dtype=np.float32)[:, None]
        line = (ends[0] * (1 - ramp) + ends[1] * ramp + 0.5).astype(np.uint8)
        pixels = np.broadcast_to(line[None, :] if along_x else line[:, None], (height, width, 3))
    else:
        noise = np.random.default_rng(rng.getrandbits(32)).integers(-3, 4, (height, width, 1), dtype=np.int16)
        pixels = np.clip(np.asarray(base, dtype=np.int16) + noise, 0, 255).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(pixels))
