"""What is done to samples by number, here or in a worker: counting their tokens, and building a packed batch of some.

A sample that cannot be used is refused, or left out with its reason where the policy says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from mimovl.data.lengths import OpenMedia, count_tokens
from mimovl.data.loader_state import Dropped
from mimovl.data.packing import collate
from mimovl.data.processor import Encoded, Processor
from mimovl.data.shared_memory import Joined
from mimovl.data.workers import Note
from mimovl.errors import DataError
from mimovl.types import PackedBatch, Sample

__all__ = ["Measured", "OnBad", "SampleWork", "unpack_batch"]

OnBad = Literal["refuse", "drop"]
"""What to do with a sample that cannot be used: stop with an error, or leave it out, counted and listed."""

_TENSORS = ("tokens", "positions", "cu_seqlens", "labels", "loss_weights", "patches", "grid_thw", "visual_index")


@dataclass(frozen=True)
class Measured:
    """A sample's tokens, or why it is left out or refused."""

    index: int
    tokens: int = 0
    dropped: Dropped | None = None
    error: DataError | None = None


@dataclass(frozen=True)
class SampleWork:
    """The jobs of a loader.

    Args:
        read: dataset index to sample.
        processor: sample to tensors.
        length: tokens of a pack.
        peek: dataset index to a sample without its media's bytes, and what opens them.
        too_long: what to do with a sample longer than a pack.
        damaged: what to do with any other that cannot be used.
    """

    read: Callable[[int], Sample]
    processor: Processor
    length: int
    peek: Callable[[int], tuple[Sample, OpenMedia]] | None = None
    too_long: OnBad = "refuse"
    damaged: OnBad = "refuse"

    def __call__(self, kind: str, about: Any, note: Note) -> Any:
        """A job: ``measure`` some indices, or ``build`` a pack of indices with their lengths."""
        if kind == "measure":
            return [self.measure(index, note) for index in about]
        samples, dropped = self.usable(about, note)
        return (self.packed(samples) if samples else None), dropped

    def measure(self, index: int, note: Note) -> Measured:
        """Tokens of a sample from its text and headers."""
        note(f"sample number {index}")
        name = f"number {index}"
        try:
            sample, opens = self.peek(index) if self.peek else (self.read(index), None)
            name = sample.id
            note(f"sample {sample.id} (number {index})")
            return self.judged(index, name, count_tokens(self.processor, sample, opens))
        except DataError as error:
            return self.failed(index, name, error)

    def judged(self, index: int, name: str, tokens: int) -> Measured:
        """A sample of so many tokens, if a pack can hold it."""
        if tokens <= self.length:
            return Measured(index, tokens)
        error = DataError(
            f"sample {name} has {tokens} tokens, a pack holds {self.length}; raise the stage's length, make its "
            "pictures smaller, or have such samples dropped; pictures are never cut"
        )
        if self.too_long == "refuse":
            return Measured(index, error=error)
        return Measured(index, dropped=Dropped(name, "too_long", f"{tokens} tokens, a pack holds {self.length}"))

    def failed(self, index: int, name: str, error: DataError) -> Measured:
        """A sample that cannot be used."""
        if self.damaged == "refuse":
            return Measured(index, error=error)
        return Measured(index, dropped=Dropped(name, str(getattr(error, "reason", "unusable")), str(error)))

    def encode(self, index: int, note: Note) -> Encoded | Measured:
        """A sample as tensors, or why not."""
        name = f"number {index}"
        note(f"sample number {index}")
        try:
            sample = self.read(index)
            name = sample.id
            note(f"sample {sample.id} (number {index})")
            encoded = self.processor.encode(sample)
        except DataError as error:
            return self.failed(index, name, error)
        judged = self.judged(index, name, encoded.num_tokens)
        return encoded if judged.tokens else judged

    def usable(self, pack: Sequence[tuple[int, int]], note: Note) -> tuple[list[Encoded], list[Dropped]]:
        """The samples of a pack, given by index and length, and those left out.

        Raises:
            DataError: one cannot be used and is not to be dropped, or the index of lengths is of other samples.
        """
        samples: list[Encoded] = []
        dropped: list[Dropped] = []
        for index, tokens in pack:
            encoded = self.encode(index, note)
            if isinstance(encoded, Encoded) and encoded.num_tokens != tokens:
                encoded = self.unlike(index, encoded, tokens, note)
            if isinstance(encoded, Encoded):
                samples.append(encoded)
                continue
            if encoded.error:
                raise encoded.error
            assert encoded.dropped
            dropped.append(encoded.dropped)
        return samples, dropped

    def unlike(self, index: int, encoded: Encoded, tokens: int, note: Note) -> Measured:
        """A sample that has not the tokens it was said to have: its media are damaged, or its index is out of date."""
        counted = self.measure(index, note).tokens
        if counted == encoded.num_tokens:
            raise DataError(
                f"sample {encoded.id} has {encoded.num_tokens} tokens, its index of lengths says {tokens}; the "
                "dataset changed: delete its folder lengths/, which is made again"
            )
        error = DataError(
            f"sample {encoded.id} has {encoded.num_tokens} tokens once decoded, the headers of its media promise "
            f"{counted}; write its pictures and clips again, or leave it out (loading.damaged: drop)"
        )
        return self.failed(index, encoded.id, error)

    def packed(self, samples: Sequence[Encoded]) -> dict[str, Any]:
        """A batch on its way to another process: its patches, nearly all of it, are joined there and only there."""
        batch = self.collate(samples, join_patches=False)
        values: dict[str, Any] = {name: getattr(batch, name).numpy() for name in _TENSORS}
        if pixels := [patches.numpy() for sample in samples for patches in sample.patches]:
            values["patches"] = Joined(pixels)
        return {**values, "sample_ids": batch.sample_ids, "sources": batch.sources}

    def collate(self, samples: Sequence[Encoded], *, join_patches: bool = True) -> PackedBatch:
        """Encoded samples end to end."""
        config = self.processor.config
        return collate(
            samples,
            visual_token_ids=(config.image_token_id, config.video_token_id),
            merge_unit=config.vision.merge_unit,
            join_patches=join_patches,
        )


def unpack_batch(values: dict[str, Any]) -> PackedBatch:
    """The batch again; one that never left this process is joined now."""
    if isinstance(patches := values["patches"], Joined):
        values = {**values, "patches": np.concatenate(patches.parts)}
    tensors = {name: torch.from_numpy(np.asarray(values[name])) for name in _TENSORS}
    return PackedBatch(**tensors, sample_ids=values["sample_ids"], sources=values["sources"])
