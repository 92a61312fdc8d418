"""Captions as samples, and the tools a runner would hand to a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mimovl.curate.step import Result, Tools, WholeStep
from mimovl.types import Generate, Media, Message, Part, Sample


@dataclass
class ToolsOfTests:
    """What a step may ask for."""

    cache: Path = Path("nowhere")
    models: dict[str, Generate] = field(default_factory=dict)
    seed: int = 0

    def generate(self, name: str) -> Generate:
        return self.models[name]


def caption(text: str, name: str = "one", *, picture: bytes = b"", language: str = "en", **meta: Any) -> Sample:
    """A caption with its picture, if there is one."""
    parts: tuple[Part, ...] = (Part("text", text),)
    media = {}
    if picture:
        media = {"image": Media(f"hash of {picture!r}", "image", picture, 28, 28)}
        parts = (Part("image", media="image"), *parts)
    return Sample(name, (Message("assistant", parts),), media, language=language, meta=meta)


def run_whole(step: WholeStep, shards: Sequence[Sequence[Sample]], tools: Tools) -> list[list[Result]]:
    """Observe every shard, settle, decide every shard: as a runner does, in one process."""
    decision = step.settle((step.observe(shard, tools) for shard in shards), tools)
    return [step.decide(shard, number, decision, tools) for number, shard in enumerate(shards)]
