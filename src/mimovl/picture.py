"""Opening and measuring pictures with PIL alone: which formats, how large, and what every damage is called.

Shared by training (``data/image``) and curation (``curate/decode``), so that what one accepts the other can read. Free
of torch: hashing runs in many processes, and each would carry it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mimovl.errors import MediaError, MimovlError

__all__ = [
    "FORMATS",
    "MAX_HEADER_PIXELS",
    "as_file",
    "decoding",
    "image_size",
    "open_image",
    "opened",
    "png_chunks",
    "smart_resize",
    "to_rgb",
]

MAX_HEADER_PIXELS = 178_956_970
"""Pixels a header may claim before the file counts as a decompression bomb (PIL's own limit of error)."""
MAX_ASPECT_RATIO = 200
_PNG_EXIF = (b"Raw profile type exif", b"XML:com.adobe.xmp")
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "AVIF", "PPM", "ICO", "TGA")
"""What is read. Not everything PIL can: it would hand PostScript to an interpreter outside."""


def opened(source: bytes | BinaryIO, name: str) -> Image.Image:
    """A PIL image whose header alone has been read.

    Raises:
        MediaError: empty, of no known format, or a header that claims too many pixels.
    """
    if isinstance(source, bytes) and not source:
        raise MediaError(f"{name}: the file is empty", reason="empty_file")
    with decoding(name, "not a picture", "not_an_image"):
        try:
            image = Image.open(as_file(source), formats=FORMATS)
        except UnidentifiedImageError:
            listed = ", ".join(FORMATS)
            raise MediaError(f"{name}: not a picture; formats read: {listed}", reason="not_an_image") from None
    width, height = image.size
    if width * height > MAX_HEADER_PIXELS:
        raise MediaError(
            f"{name}: its header claims {width}×{height} = {width * height:,} pixels, the limit is "
            f"{MAX_HEADER_PIXELS:,}; not decoded",
            reason="too_many_pixels",
        )
    return image


def as_file(source: bytes | BinaryIO) -> BinaryIO:
    """A file open at its beginning."""
    if isinstance(source, bytes):
        return io.BytesIO(source)
    source.seek(0)
    return source


def to_rgb(image: Image.Image) -> Image.Image:
    """Any PIL mode as RGB: transparency over white, 16-bit grey scaled down instead of clipped."""
    if image.mode.startswith("I;16") or image.mode == "I":
        grey = (np.asarray(image, dtype=np.float64) / 257.0).clip(0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


@contextmanager
def decoding(name: str, complaint: str, reason: str) -> Iterator[None]:
    """Turn whatever a decoder of PIL raises on damaged data into ``MediaError``."""
    try:
        yield
    except (MimovlError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise MediaError(f"{name}: {error}; not decoded", reason="too_many_pixels") from None
    except Exception as error:  # its plugins raise OSError, SyntaxError, struct.error, KeyError, …
        raise MediaError(f"{name}: {complaint} ({error})", reason=reason) from None


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
