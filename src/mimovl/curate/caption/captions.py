"""What a caption is inside a ``Sample``: the text of its last assistant message; and a chance only its id decides."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mimovl.types import Message, Part, Sample

__all__ = ["caption_of", "chance", "with_caption"]


def caption_of(sample: Sample) -> str:
    """The text of the last assistant message, or of the last message where there is none; empty without messages."""
    for message in reversed(sample.messages):
        if message.role == "assistant":
            return message.text
    return sample.messages[-1].text if sample.messages else ""


def with_caption(sample: Sample, text: str, *, language: str = "", meta: Mapping[str, Any] | None = None) -> Sample:
    """The sample with another caption; its pictures stay where they are, the text comes after them."""
    messages = list(sample.messages)
    places = [number for number, message in enumerate(messages) if message.role == "assistant"]
    if places:
        place, old = places[-1], messages[places[-1]].content
    else:
        place, old = len(messages), ()
        messages.append(Message("assistant", ()))
    kept = tuple(part for part in old if part.type != "text")
    messages[place] = Message("assistant", (*kept, Part("text", text)))
    return replace(
        sample,
        messages=tuple(messages),
        language=language or sample.language,
        meta={**sample.meta, **(meta or {})},
    )


def chance(seed: int, purpose: str, name: str) -> float:
    """A number in [0, 1) that looks drawn at random, and is the same for a name in every process and order."""
    digest = hashlib.blake2b(f"{seed}\0{purpose}\0{name}".encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64
