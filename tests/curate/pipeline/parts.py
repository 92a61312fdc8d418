"""Readers and steps that spawned workers can import."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from mimovl.curate.step import Apply, Dropped, Reader, Result, Step, Tools, Unit, WholeStep
from mimovl.types import Media, Message, Part, Sample


@lru_cache(64)
def picture(seed: int) -> Media:
    pixels = np.random.default_rng(seed).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    data = buffer.getvalue()
    return Media(hashlib.sha256(data).hexdigest(), "image", data, 32, 24)


def caption(name: str, text: str, media: Media | None = None) -> Sample:
    shown = (Part("image", media=media.sha256),) if media else ()
    return Sample(
        id=name,
        messages=(Message("assistant", (*shown, Part("text", text))),),
        media={media.sha256: media} if media else {},
        source="numbers",
        task="caption",
    )


class Numbers(Reader):
    """Samples 0 … count − 1; every seventh is broken; pictures repeat after ``pictures``."""

    reader: Literal["numbers"] = "numbers"
    count: int = 100
    per_unit: int = 10
    pictures: int = 40
    prefix: str = "n"

    def units(self) -> list[Unit]:
        starts = range(0, self.count, self.per_unit)
        return [Unit(f"{self.prefix}-{start:06d}", start, self.per_unit) for start in starts]

    def read(self, unit: Unit) -> Iterator[tuple[str, Sample | Dropped]]:
        for number in range(unit.where, min(unit.where + self.per_unit, self.count)):
            name = f"{self.prefix}{number}"
            if number % 7 == 3:
                yield name, Dropped("broken", f"{number} is broken")
            else:
                yield name, caption(name, f"number {number}", picture(number % self.pictures))


class DropEven(Step):
    """Numbers that two divides go."""

    step: Literal["drop_even"] = "drop_even"
    slow: float = 0.0

    def open(self, tools: Tools) -> Apply:
        def apply(batch: Sequence[Sample]) -> list[Result]:
            time.sleep(self.slow * len(batch))
            return [
                Dropped("even", s.messages[0].text) if int(s.messages[0].text.split()[1]) % 2 == 0 else s for s in batch
            ]

        return apply


class Shout(Step):
    """Text in capitals."""

    step: Literal["shout"] = "shout"

    def open(self, tools: Tools) -> Apply:
        def shouted(s: Sample) -> Sample:
            content = tuple(replace(p, text=p.text.upper()) for p in s.messages[0].content)
            return replace(s, messages=(Message("assistant", content),), meta={**s.meta, "seed": tools.seed})

        return lambda batch: [shouted(s) for s in batch]


class Double(Step):
    """Each sample becomes two, and those of fives none."""

    step: Literal["double"] = "double"

    def open(self, tools: Tools) -> Apply:
        def twice(s: Sample) -> Result:
            if s.id.endswith("5"):
                return []
            return [replace(s, id=f"{s.id}/{half}") for half in "ab"]

        return lambda batch: [twice(s) for s in batch]


class OnePerPicture(WholeStep):
    """The first sample of each picture stays."""

    step: Literal["one_per_picture"] = "one_per_picture"

    def observe(self, batch: Sequence[Sample], tools: Tools) -> Any:
        return [(s.id, next(iter(s.media))) for s in batch]

    def settle(self, observed: Iterator[Any], tools: Tools) -> Any:
        first: dict[str, str] = {}
        losers: dict[int, dict[str, str]] = {}
        for number, chunk in enumerate(observed):
            for name, key in chunk:
                if first.setdefault(key, name) != name:
                    losers.setdefault(number, {})[name] = first[key]
        return losers

    def decide(self, batch: Sequence[Sample], number: int, decision: Any, tools: Tools) -> list[Result]:
        losers = decision.get(number, {})
        return [Dropped("seen", f"as {losers[s.id]}") if s.id in losers else s for s in batch]


class Fail(Step):
    """Raises on one sample."""

    step: Literal["fail"] = "fail"
    on: str = "n8"

    def open(self, tools: Tools) -> Apply:
        def apply(batch: Sequence[Sample]) -> list[Result]:
            for sample in batch:
                if sample.id == self.on:
                    raise ZeroDivisionError("no")
            return list(batch)

        return apply


class Die(Step):
    """Kills its process on one sample, as often as it is told to (by lines in a file)."""

    step: Literal["die"] = "die"
    on: str = "n8"
    times: int = 1
    notes: str

    def open(self, tools: Tools) -> Apply:
        def apply(batch: Sequence[Sample]) -> list[Result]:
            path = Path(self.notes)
            if any(s.id == self.on for s in batch):
                died = len(path.read_text()) if path.exists() else 0
                if died < self.times:
                    with path.open("a") as file:
                        file.write("x")
                    os.kill(os.getpid(), signal.SIGKILL)
            return list(batch)

        return apply


class Short(Step):
    """Gives too few results."""

    step: Literal["short"] = "short"

    def open(self, tools: Tools) -> Apply:
        return lambda batch: list(batch[1:])
