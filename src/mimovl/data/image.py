"""Pictures to patches: safe decoding, smart resize, and the patch layout of Qwen2.5-VL, with PIL and torch only.

    bytes ── open_image ──▶ RGB picture ── smart_resize ──▶ sides divisible by 28 ── patchify ──▶ (P, 1176)

Equal to the Hugging Face processor's output (tests/parity); no torchvision.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, ImageOps

from mimovl.errors import MediaError
from mimovl.picture import as_file, decoding, opened, to_rgb

__all__ = [
    "IMAGE_MEAN",
    "IMAGE_STD",
    "ImageSettings",
    "image_size",
    "open_image",
    "patchify",
    "resized_size",
    "smart_resize",
]

IMAGE_MEAN = (0.48145466, 0.4578275, 0.40821073)
IMAGE_STD = (0.26862954, 0.26130258, 0.27577711)
"""Channel statistics of CLIP, which Qwen2.5-VL keeps."""

MAX_ASPECT_RATIO = 200
_PNG_EXIF = (b"Raw profile type exif", b"XML:com.adobe.xmp")


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """How pictures are sized (``preprocessor_config.json``)."""

    patch_size: int = 14
    temporal_patch_size: int = 2
    merge_size: int = 2
    min_pixels: int = 56 * 56
    max_pixels: int = 4096 * 28 * 28
    """Largest picture in pixels; MiMo-VL trains and evaluates with 4096 · 28² (§4.1)."""

    @property
    def factor(self) -> int:
        """Sides are multiples of this."""
        return self.patch_size * self.merge_size


def smart_resize(
    height: int,
    width: int,
    *,
    factor: int = 28,
    min_pixels: float = 56 * 56,
    max_pixels: float = 4096 * 28 * 28,
) -> tuple[int, int]:
    """The size a picture is given: sides divisible by ``factor``, area within bounds, proportions kept.

    Source: Qwen2-VL's reference preprocessing (``smart_resize``).

    Returns:
        Height and width in pixels.

    Raises:
        MediaError: one side is more than 200 times the other, or a side is not positive.
    """
    if min(height, width) < 1:
        raise MediaError(f"a picture of {width}×{height} pixels has no area", reason="empty_image")
    if max(height, width) / min(height, width) > MAX_ASPECT_RATIO:
        raise MediaError(
            f"a picture of {width}×{height} pixels is more than {MAX_ASPECT_RATIO} times longer than wide",
            reason="aspect_ratio",
        )
    new_height = round(height / factor) * factor
    new_width = round(width / factor) * factor
    if new_height * new_width > max_pixels:
        beta = math.sqrt(height * width / max_pixels)
        new_height = max(factor, math.floor(height / beta / factor) * factor)
        new_width = max(factor, math.floor(width / beta / factor) * factor)
    elif new_height * new_width < min_pixels:
        beta = math.sqrt(min_pixels / (height * width))
        new_height = math.ceil(height * beta / factor) * factor
        new_width = math.ceil(width * beta / factor) * factor
    return new_height, new_width


def resized_size(height: int, width: int, settings: ImageSettings) -> tuple[int, int]:
    """:func:`smart_resize` with the bounds of ``settings``."""
    return smart_resize(
        height, width, factor=settings.factor, min_pixels=settings.min_pixels, max_pixels=settings.max_pixels
    )


def image_size(source: bytes | BinaryIO, *, name: str = "image") -> tuple[int, int]:
    """Height and width as shown (after EXIF rotation), read from the header without decoding.

    Args:
        source: the picture's bytes, or a file open for reading, of which little more than the header is read.
        name: used in errors.

    Raises:
        MediaError: empty, unreadable, or a header that claims more pixels than anyone should decode.
    """
    with decoding(name, "the picture is damaged", "corrupt_image"):
        image = opened(source, name)
        tagged = image.format != "TIFF"  # PIL has turned the size of those already
        # A PNG may keep its EXIF behind the pixels, and PIL decodes them to look for it: look first whether it has any.
        if image.format == "PNG" and (tagged := _png_has_exif(as_file(source))):
            image = opened(source, name)
        width, height = image.size
        if tagged and image.getexif().get(0x0112, 1) in (5, 6, 7, 8):
            width, height = height, width
    return height, width


def open_image(data: bytes, *, name: str = "image") -> Image.Image:
    """Decode to RGB, upright, transparency over white.

    Raises:
        MediaError: empty, corrupt, truncated, or a decompression bomb; ``reason`` says which.
    """
    with decoding(name, "the picture is damaged", "corrupt_image"):
        image = opened(data, name)
        image.load()
        return to_rgb(ImageOps.exif_transpose(image))


def png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Name and size of each chunk of a PNG, with the file at the chunk's data."""
    place = 8
    while len(head := _read_at(file, place, 8)) == 8:
        size = int.from_bytes(head[:4], "big")
        yield head[4:], size
        place += 12 + size


def _png_has_exif(file: BinaryIO) -> bool:
    """Whether a chunk may say which way the picture is up."""
    for kind, size in png_chunks(file):
        if kind == b"eXIf":
            return True
        if kind in (b"tEXt", b"zTXt", b"iTXt") and file.read(min(size, 79)).startswith(_PNG_EXIF):
            return True
    return False


def _read_at(file: BinaryIO, place: int, size: int) -> bytes:
    file.seek(place)
    return file.read(size)


def patchify(frames: list[Image.Image], size: tuple[int, int], settings: ImageSettings) -> torch.Tensor:
    """Resize, normalise and cut into patches in merge order.

    Args:
        frames: one picture, or the frames of a clip; an odd last frame is doubled.
        size: height and width from :func:`smart_resize`.
        settings: patch and merge sizes.

    Returns:
        Patches, float32, shape (T · H/14 · W/14, 3 · 2 · 14 · 14): frame pairs, then 2×2 merged cells row by row,
        then the four patches of a cell; each patch is channel, frame, row, column.
    """
    height, width = size
    pixels = np.stack(
        [
            np.asarray(frame if frame.size == size[::-1] else frame.resize(size[::-1], Image.Resampling.BICUBIC))
            for frame in frames
        ]
    )
    temporal, patch, merge = settings.temporal_patch_size, settings.patch_size, settings.merge_size
    copies = 1
    if len(frames) == 1:
        copies = temporal  # a picture stands for every frame of its patch; copied last, when it is in place
    elif odd := -len(frames) % temporal:
        pixels = np.concatenate([pixels, np.repeat(pixels[-1:], odd, axis=0)])
    held = temporal // copies
    # Bytes are put in order before they become floats: a quarter of the memory to move.
    cut = torch.from_numpy(np.ascontiguousarray(pixels)).reshape(
        -1, held, height // (patch * merge), merge, patch, width // (patch * merge), merge, patch, 3
    )
    # (T, t, h, mh, ph, w, mw, pw, c) → (T, h, w, mh, mw, c, t, ph, pw)
    cut = cut.permute(0, 2, 5, 3, 6, 8, 1, 4, 7).reshape(-1, 3, held, patch * patch)
    mean = torch.tensor(IMAGE_MEAN).view(1, 3, 1, 1)
    std = torch.tensor(IMAGE_STD).view(1, 3, 1, 1)
    values = cut.float().mul_(1 / 255).sub_(mean).div_(std)
    return values.expand(-1, 3, temporal, patch * patch).reshape(-1, 3 * temporal * patch * patch)
