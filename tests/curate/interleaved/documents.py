"""Small documents for the tests of interleaved steps: blocks, pictures, and the tools a step may ask for."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from mimovl.curate.interleaved.blocks import Block, document, picture
from mimovl.types import Completion, Generate, Request, Sample
from tests.curate.interleaved.pdf_pages import photo

__all__ = ["Bench", "Scripted", "flat", "make", "show", "text"]


def text(words: str, kind: str = "text") -> Block:
    """A block of text."""
    return Block(kind, words)  # type: ignore[arg-type]


def show(number: int, size: tuple[int, int] = (160, 120), alt: str = "") -> Block:
    """A picture of coloured blocks; equal numbers show the same."""
    return Block("picture", media=picture(photo(number, size)), alt=alt)


def flat(size: tuple[int, int] = (160, 120), colour: str = "navy") -> Block:
    """A picture of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return Block("picture", media=picture(buffer.getvalue()))


def make(*blocks: Block, name: str = "d", language: str = "en", **meta: object) -> Sample:
    """A document."""
    return document(name, blocks, source="test", language=language, meta={"document": name, "site": "s", **meta})


@dataclass
class Scripted:
    """A model that answers from a list, and remembers what it was asked."""

    answers: Sequence[str]
    asked: list[str] = field(default_factory=list)

    def generate(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """One answer a request."""
        found = []
        for request in requests:
            self.asked.append(request.sample.messages[-1].text)
            found.append([Completion(self.answers[(len(self.asked) - 1) % len(self.answers)], "stop")])
        return found


@dataclass
class Bench:
    """The tools of a step."""

    folder: Path
    model: Generate | None = None
    seed: int = 0

    def generate(self, name: str) -> Generate:
        """The one model."""
        assert self.model is not None, name
        return self.model

    @property
    def cache(self) -> Path:
        """A folder."""
        return self.folder
