"""Opening pictures of any origin with PIL alone: which formats, how large, and what every damage is called.

Shared by training (``data/image``) and curation (``curate/decode``), so that what one accepts the other can read. Free
of torch: hashing runs in many processes, and each would carry it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from mimovl.errors import MediaError, MimovlError

__all__ = ["FORMATS", "MAX_HEADER_PIXELS", "as_file", "decoding", "opened", "to_rgb"]

MAX_HEADER_PIXELS = 178_956_970
"""Pixels a header may claim before the file counts as a decompression bomb (PIL's own limit of error)."""
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
