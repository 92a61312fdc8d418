"""Pictures the tests of curation share, and what becomes of pictures on the web."""

from __future__ import annotations

import hashlib
import io
from typing import Any

from PIL import Image

from benchmarks.dedup_quality import photo
from mimovl.types import Media, Message, Part, Sample


def encoded(image: Image.Image, kind: str = "JPEG", **settings: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


def small_photo(seed: int, width: int = 192, height: int = 128) -> Image.Image:
    return photo(seed, 192).resize((width, height), Image.Resampling.BICUBIC)


def sample_of(id: str, text: str, *pictures: bytes) -> Sample:  # noqa: A002
    media = {}
    for data in pictures:
        image = Image.open(io.BytesIO(data))
        key = hashlib.sha256(data).hexdigest()
        media[key] = Media(key, "image", data, image.width, image.height)
    parts = (*(Part("image", media=key) for key in media), Part("text", text=text))
    return Sample(id, (Message("user", parts), Message("assistant", (Part("text", text="An answer."),))), media)
