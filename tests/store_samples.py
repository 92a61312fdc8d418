"""Samples for the store's tests."""

from __future__ import annotations

import hashlib
import io

from PIL import Image

from mimovl.types import Gold, Media, Message, Part, Sample


def picture(number: int, size: tuple[int, int] = (28, 56)) -> Media:
    """A small PNG; equal numbers give equal bytes."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (number % 256, number // 256 % 256, 7)).save(buffer, "PNG")
    data = buffer.getvalue()
    return Media(hashlib.sha256(data).hexdigest(), "image", data, *size)


def sample(number: int, *media: Media, task: str = "counting", source: str = "world/counting") -> Sample:
    """A question about ``media`` with its answer and gold."""
    pictures = tuple(Part(m.kind, media=m.sha256) for m in media)
    question = Message("user", (*pictures, Part("text", text=f"How many? 多少？ {number} /no_think")))
    answer = Message("assistant", (Part("text", text=f"<think>\n\n</think>\n\n{number}"),))
    return Sample(
        id=f"s{number}",
        messages=(question, answer),
        media={m.sha256: m for m in media},
        task=task,
        source=source,
        language="zh" if number % 2 else "en",
        gold=Gold("count", number, {"note": [1.5, None, "é"]}),
        meta={"scene": {"objects": [[1, 2], [3, 4]]}},
    )
