"""What happens to a page before a camera sees it: turning, perspective, scaling, shade, things on it, blur, noise.

Geometry bends ink and owners along with the pixels. Blur, noise and JPEG leave them: a box is the letter's, not its
haze's. Ink that something covers is counted as hidden, and the box stays that of the whole word.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Self

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter
from pydantic import Field, model_validator

from mimovl.curate.ocr.backgrounds import backdrop
from mimovl.curate.ocr.canvas import Canvas, Matrix
from mimovl.recipe_model import RecipeModel

__all__ = ["Augmentation", "augment", "bend", "occlude", "quad_matrix", "weather"]

Share = Annotated[float, Field(ge=0.0, le=1.0)]
_FACTOR = 28
_LEAST_LETTERS = 9.0
"""Median height of ink, pixels, below which nothing is made smaller."""


class Augmentation(RecipeModel):
    """How often and how far pages are changed. Shares are of pages."""

    turned: Share = 0.4
    """Photographed at an angle: turned, in perspective, with what it lies on around it."""
    degrees: float = Field(default=6.0, ge=0.0, le=30.0)
    """Turned by at most this."""
    perspective: float = Field(default=0.06, ge=0.0, le=0.2)
    """Corners moved inwards by at most this part of the sides."""
    scaled: Share = 0.4
    """Made smaller or larger."""
    scales: tuple[float, float] = (0.6, 1.2)
    """Smallest and largest factor; letters stay readable, so small ones are not made smaller."""
    covered: Share = 0.25
    """With lines, blots or things over the text."""
    shaded: Share = 0.3
    """With a shadow."""
    blurred: Share = 0.35
    """Out of focus or moved."""
    blur: float = Field(default=1.4, ge=0.0, le=4.0)
    """Largest standard deviation of the blur, pixels."""
    noisy: Share = 0.3
    """With noise of the sensor."""
    jpeg: Share = 0.5
    """Stored as JPEG; the others as PNG."""
    qualities: tuple[int, int] = (35, 92)
    """Lowest and highest JPEG quality."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, least, most in (("scales", 0.1, 4.0), ("qualities", 1, 100)):
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                raise ValueError(f"{name} is [{low}, {high}]; give [low, high] between {least} and {most}")
        return self


def augment(canvas: Canvas, rng: random.Random, settings: Augmentation, photos: Sequence[Path] = ()) -> Canvas:
    """A page as a camera might have seen it; sides stay multiples of 28."""
    if rng.random() < settings.covered:
        occlude(canvas, rng)
    if rng.random() < settings.turned:
        canvas = bend(canvas, rng, settings, photos)
    if rng.random() < settings.scaled:
        canvas = _scaled(canvas, rng, settings)
    weather(canvas, rng, settings)
    return canvas


def quad_matrix(source: Sequence[tuple[float, float]], target: Sequence[tuple[float, float]]) -> Matrix:
    """The projective map that takes four corners to four others."""
    rows, values = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    solved = np.linalg.solve(np.asarray(rows, dtype=np.float64), np.asarray(values, dtype=np.float64))
    return np.append(solved, 1.0).reshape(3, 3)


def bend(canvas: Canvas, rng: random.Random, settings: Augmentation, photos: Sequence[Path] = ()) -> Canvas:
    """Turn a page and see it in perspective, on something; all of it stays in the picture."""
    width, height = canvas.size
    angle = math.radians(rng.uniform(-settings.degrees, settings.degrees))
    inset = settings.perspective
    corners = []
    for x, y in ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)):
        across = (x + (0.5 - x) * 2 * rng.uniform(0, inset) - 0.5) * width
        down = (y + (0.5 - y) * 2 * rng.uniform(0, inset) - 0.5) * height
        corners.append(
            (across * math.cos(angle) - down * math.sin(angle), across * math.sin(angle) + down * math.cos(angle))
        )
    rim = rng.uniform(4, 24)
    left, top = min(x for x, _ in corners) - rim, min(y for _, y in corners) - rim
    right, bottom = max(x for x, _ in corners) + rim, max(y for _, y in corners) + rim
    size = tuple(-(-math.ceil(side) // _FACTOR) * _FACTOR for side in (right - left, bottom - top))
    target = [(x - left, y - top) for x, y in corners]
    matrix = quad_matrix([(0, 0), (width, 0), (width, height), (0, height)], target)
    whole = Canvas.on(Image.new("RGB", canvas.size, (255, 255, 255)))
    alpha = whole.warp(matrix, (size[0], size[1]), fill=(0, 0, 0)).image.convert("L")
    bent = canvas.warp(matrix, (size[0], size[1]))
    ground = backdrop(rng, (size[0], size[1]), photos)
    shadow = (
        ImageChops.offset(alpha, 4, 5).filter(ImageFilter.GaussianBlur(5)).point([level // 2 for level in range(256)])
    )
    ground.paste((0, 0, 0), (0, 0), shadow)
    bent.image = Image.composite(bent.image, ground, alpha)
    return bent


def _scaled(canvas: Canvas, rng: random.Random, settings: Augmentation) -> Canvas:
    low, high = settings.scales
    heights = [box[3] - box[1] for one, box in zip(canvas.elements, canvas.boxes(), strict=True) if box and one.text]
    if heights:
        low = max(low, min(1.0, _LEAST_LETTERS / float(np.median(heights))))
    factor = rng.uniform(low, max(low, high))
    size = tuple(max(2, round(side * factor / _FACTOR)) * _FACTOR for side in canvas.size)
    return canvas.scale((size[0], size[1]))


def occlude(canvas: Canvas, rng: random.Random) -> None:
    """Lay pen strokes, a stain or something solid over the page and note how much of each word it hides."""
    width, height = canvas.size
    cover, opacity = Image.new("L", canvas.size), 255
    draw = ImageDraw.Draw(cover)
    kind = rng.choice(("strokes", "stain", "things"))
    colour = (rng.randint(0, 90), rng.randint(0, 90), rng.randint(0, 160))
    if kind == "strokes":
        for _ in range(rng.randint(1, 4)):
            x, y = rng.uniform(0, 0.7 * width), rng.uniform(0.1, 0.9) * height
            slope = rng.uniform(-0.1, 0.1)
            points = [(x + step, y + slope * step + 3 * math.sin(step / 11)) for step in range(0, width // 3, 5)]
            draw.line(points, fill=255, width=rng.randint(1, 2))
    elif kind == "stain":
        opacity, colour = 90, (120, 80, 40)
        x, y, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(30, 80)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=255, width=rng.randint(6, 30))
        cover = cover.filter(ImageFilter.GaussianBlur(2))
    else:
        colour = (rng.randint(60, 230), rng.randint(60, 230), rng.randint(60, 230))
        for _ in range(rng.randint(1, 3)):
            x, y = rng.uniform(0, width), rng.uniform(0, height)
            long, thick = rng.uniform(20, 60), rng.uniform(6, 16)
            draw.ellipse((x - long, y - thick, x + long, y + thick), fill=255)
    shown = cover.point([level * opacity // 255 for level in range(256)])
    canvas.image.paste(colour, (0, 0), shown)
    if opacity < 128:
        return
    hidden = ImageChops.multiply(canvas.ink, cover)
    owner = np.asarray(canvas.owner).ravel()
    lost = np.bincount(owner, np.asarray(hidden).ravel() / 255.0, minlength=len(canvas.elements) + 1)[1:]
    for element, gone, all_ink in zip(canvas.elements, lost, canvas.amounts(), strict=True):
        element.hidden = min(1.0, element.hidden + float(gone) / max(float(all_ink), 1e-9))


def weather(canvas: Canvas, rng: random.Random, settings: Augmentation) -> None:
    """Shade, blur and noise, in place; ink and owners stay."""
    image = canvas.image
    if rng.random() < settings.shaded:
        image = _shaded(image, rng)
    if rng.random() < settings.blurred and settings.blur > 0:
        if rng.random() < 0.7:
            image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3 * settings.blur, settings.blur)))
        else:
            image = image.filter(ImageFilter.Kernel((5, 5), _motion(rng), 5))
    if rng.random() < settings.noisy:
        pixels = np.asarray(image, dtype=np.float32)
        noise = np.random.default_rng(rng.getrandbits(32)).standard_normal(pixels.shape, dtype=np.float32)
        image = Image.fromarray((pixels + noise * rng.uniform(2, 10)).clip(0, 255).astype(np.uint8))
    canvas.image = image


def _shaded(image: Image.Image, rng: random.Random) -> Image.Image:
    """Darker on one side of a soft edge."""
    angle, strength = rng.uniform(0, 2 * math.pi), rng.uniform(0.12, 0.4)
    rows, columns = np.mgrid[0 : image.height, 0 : image.width].astype(np.float32)
    across = (columns / image.width - 0.5) * math.cos(angle) + (rows / image.height - 0.5) * math.sin(angle)
    light = 1 - strength / (1 + np.exp(-(across - rng.uniform(-0.3, 0.3)) * rng.uniform(6, 40)))
    pixels = np.asarray(image, dtype=np.float32) * light[..., None]
    return Image.fromarray(pixels.astype(np.uint8))


def _motion(rng: random.Random) -> list[float]:
    """Five pixels in a row, column or diagonal."""
    kernel = np.zeros((5, 5))
    kernel[rng.choice((np.index_exp[2, :], np.index_exp[:, 2], np.index_exp[range(5), range(5)]))] = 1
    return [float(value) for value in kernel.ravel()]
