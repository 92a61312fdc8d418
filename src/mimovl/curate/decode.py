"""A picture from the web: decoded right, or refused with a short stable reason to count it under.

    decode(data).image                  RGB, upright, transparency over white; the first frame of an animation
    except MediaError as error: error.reason

    empty_file       no bytes
    not_an_image     no format that is read: by its content, whatever its name says
    too_many_pixels  the header claims more than anyone should decode (a decompression bomb)
    too_many_scans   a progressive JPEG of hundreds of scans, each a pass over all pixels (a bomb of time)
    truncated        the file ends too early
    corrupt_image    a decoder gave up
    value_range      32-bit or float pixels in no range that says what is white

What is accepted, training reads to the same pixels (``data/image.open_image``; a test compares the two).
CMYK is converted without a colour profile: right up to the press's own colours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from mimovl.curate.jpeg_header import MAX_SCANS, num_scans
from mimovl.errors import MediaError
from mimovl.picture import MAX_HEADER_PIXELS, decoding, opened, to_rgb

__all__ = ["REASONS", "Decoded", "decode"]

REASONS = (
    "empty_file",
    "not_an_image",
    "too_many_pixels",
    "too_many_scans",
    "truncated",
    "corrupt_image",
    "value_range",
)
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"RIFF", b"II*\0", b"MM\0*")


@dataclass(frozen=True)
class Decoded:
    """A picture that could be read."""

    image: Image.Image
    """RGB and upright."""
    format: str
    """What the content is, in PIL's words: JPEG, PNG, WEBP, …"""
    animated: bool
    """Whether more frames or pages follow the one that was read."""


def decode(data: bytes, *, name: str = "image", max_pixels: int = MAX_HEADER_PIXELS) -> Decoded:
    """Decode whatever it is.

    Args:
        data: the file.
        name: used in errors.
        max_pixels: a header that claims more is not decoded.

    Raises:
        MediaError: it cannot be decoded right; ``reason`` is one of ``REASONS``.
    """
    try:
        image = opened(data, name)
    except MediaError as error:
        if error.reason == "not_an_image" and data.startswith(_MAGIC):
            raise MediaError(f"{name}: begins as a picture and goes on as none", reason="corrupt_image") from None
        raise
    width, height = image.size
    if width * height > max_pixels:
        raise MediaError(
            f"{name}: its header claims {width}×{height} = {width * height:,} pixels, the limit is {max_pixels:,}; "
            "not decoded",
            reason="too_many_pixels",
        )
    if image.format in ("JPEG", "MPO") and (scans := num_scans(data)) > MAX_SCANS:
        raise MediaError(f"{name}: {scans} scans, the limit is {MAX_SCANS}; not decoded", reason="too_many_scans")
    try:
        with decoding(name, "the picture is damaged", "corrupt_image"):
            animated = bool(getattr(image, "is_animated", False))
            if animated:
                image.seek(0)
            image.load()
    except MediaError as error:
        if error.reason == "corrupt_image" and "truncated" in str(error).lower():
            raise MediaError(f"{name}: the file ends too early ({len(data):,} bytes)", reason="truncated") from None
        raise
    _check_range(image, name)
    kind = image.format or ""
    with decoding(name, "the picture is damaged", "corrupt_image"):
        return Decoded(to_rgb(ImageOps.exif_transpose(image)), kind, animated)


def _check_range(image: Image.Image, name: str) -> None:
    """Refuse wide pixels that would be read as black or clipped to white."""
    if image.mode not in ("F", "I"):
        return
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    most, least = (255.0, 1.0) if image.mode == "F" else (65535.0, -1.0)
    if not (0 <= low <= high <= most and high > least):
        limits = "0 to 255 (and not 0 to 1)" if image.mode == "F" else "0 to 65535"
        raise MediaError(
            f"{name}: pixels from {low:g} to {high:g}, read are {limits}; convert it to 8 or 16 bits",
            reason="value_range",
        )
