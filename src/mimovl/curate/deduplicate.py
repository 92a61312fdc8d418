"""Near-duplicate removal as a step of a pipeline: signatures where the shards lie, one search, one copy kept.

    steps:
      - {step: deduplicate}
      - {step: deduplicate, orientations: mirrored, same_file: all}

A sample goes when every picture in it is shown, in a copy at least as good, by a sample that stays; what stays is the
same for any order of the input (``near_duplicates`` says which copy is kept). Samples without pictures pass. Reasons of
drops: near_duplicate, same_file, and of pictures that cannot be decoded those of ``decode``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mimovl.curate.near_duplicates import Copy, PictureFacts, find_duplicates
from mimovl.curate.signature import LOOK_SIDE, Signatures, sign
from mimovl.curate.step import Dropped, Result, Tools, WholeStep
from mimovl.types import Sample

__all__ = ["Deduplicate", "Observed"]

_ORIENTATIONS = {"upright": (0,), "mirrored": (0, 4), "all": tuple(range(8))}


@dataclass(frozen=True)
class Observed:
    """What is known of a chunk's pictures."""

    samples: list[tuple[str, tuple[bytes, ...]]]
    """Id of each sample and keys of its pictures."""
    facts: dict[bytes, tuple[int, int]]
    """Pixels and bytes of each readable picture, in the order of the signatures."""
    signatures: Signatures
    refused: dict[bytes, tuple[str, str]]
    """Reason and message of each picture that cannot be decoded."""


class Deduplicate(WholeStep):
    """One sample of each picture."""

    step: Literal["deduplicate"] = "deduplicate"
    """Remove near-duplicate pictures."""
    orientations: Literal["upright", "mirrored", "all"] = "upright"
    """Which turned copies count: none, mirrored ones, or all eight orientations."""
    same_file: Literal["one", "all"] = "one"
    """Of samples that show the very same file, keep one (web crawls), or all (several questions to one picture)."""

    def observe(self, batch: Sequence[Sample], tools: Tools) -> Observed:
        """Signatures of the chunk's pictures."""
        pictures = {key: media for sample in batch for key, media in sample.media.items() if media.kind == "image"}
        keys = list(pictures)
        turns = 1 if self.orientations == "upright" else 8
        signatures, refused = sign((pictures[key].data for key in keys), orientations=turns)
        read = [key for number, key in enumerate(keys) if number not in refused]
        return Observed(
            samples=[(s.id, tuple(bytes.fromhex(key) for key in s.media if key in pictures)) for s in batch],
            facts={
                bytes.fromhex(key): (pictures[key].width * pictures[key].height, len(pictures[key].data))
                for key in read
            },
            signatures=signatures,
            refused={bytes.fromhex(keys[n]): (error.reason, str(error)) for n, error in refused.items()},
        )

    def settle(self, observed: Iterator[Any], tools: Tools) -> dict[int, dict[int, tuple[str, str]]]:
        """Reason and detail of each sample to drop, by number of its chunk and place in it."""
        with tempfile.TemporaryDirectory(dir=tools.cache, prefix="looks-") as scratch:
            return self._settle(observed, Path(scratch) / "looks")

    def _settle(self, observed: Iterator[Any], looks_file: Path) -> dict[int, dict[int, tuple[str, str]]]:
        owner: dict[bytes, str] = {}  # picture → the first id, by name, of those that show it
        pixels: dict[bytes, tuple[int, int]] = {}
        refused: dict[bytes, tuple[str, str]] = {}
        samples: list[tuple[int, int, str, tuple[bytes, ...]]] = []
        parts: list[Signatures] = []
        num_looks = 0
        with open(looks_file, "wb") as file:
            for number, chunk in enumerate(observed):
                for place, (name, keys) in enumerate(chunk.samples):
                    samples.append((number, place, name, keys))
                    for key in keys:
                        owner[key] = min(owner.get(key, name), name)
                refused |= chunk.refused
                fresh = [row for row, key in enumerate(chunk.facts) if key not in pixels]
                pixels |= chunk.facts
                part = chunk.signatures.take(np.array(fresh, np.int64))
                file.write(part.looks.tobytes())
                shifted = np.where(part.look < 0, -1, part.look + num_looks).astype(np.int32)
                num_looks += len(part.looks)
                parts.append(replace(part, look=shifted, looks=part.looks[:0]))
        copies = self._copies(parts, looks_file, num_looks, pixels, owner)
        dropped: dict[int, dict[int, tuple[str, str]]] = {}
        first: dict[bytes, tuple[int, int]] = {}  # of several samples with the owner's id, the first is meant
        for number, place, name, keys in samples:
            for key in keys:
                if owner[key] == name:
                    first.setdefault(key, (number, place))
        for number, place, _, keys in samples:
            verdicts = [self._verdict(key, first[key] == (number, place), owner, copies, refused) for key in keys]
            unread = [verdict for key, verdict in zip(keys, verdicts, strict=True) if key in refused]
            lost = [verdict for verdict in verdicts if verdict is not None]
            if unread or (keys and len(lost) == len(keys)):
                verdict = (unread or lost)[0]
                assert verdict is not None
                dropped.setdefault(number, {})[place] = verdict
        return dropped

    def _copies(
        self,
        parts: list[Signatures],
        looks_file: Path,
        num_looks: int,
        pixels: dict[bytes, tuple[int, int]],
        owner: dict[bytes, str],
    ) -> dict[bytes, Copy]:
        """Pictures of which a better copy is kept."""
        if not pixels:
            return {}
        shape = (num_looks, LOOK_SIDE, LOOK_SIDE)
        looks = np.memmap(looks_file, np.uint8, "r", shape=shape) if num_looks else np.empty(shape, np.uint8)
        signatures = Signatures(
            hash64=np.concatenate([part.hash64 for part in parts]),
            hash256=np.concatenate([part.hash256 for part in parts]),
            flat=np.concatenate([part.flat for part in parts]),
            look=np.concatenate([part.look for part in parts]),
            looks=looks,
        )
        names: dict[str, bytes] = {}
        for key in pixels:
            name = owner[key]
            number = 1
            while name in names:  # a sample of several pictures
                number += 1
                name = f"{owner[key]}, picture {number}"
            names[name] = key
        facts = [PictureFacts(name, *pixels[key]) for name, key in names.items()]
        report = find_duplicates(signatures, facts, orientations=_ORIENTATIONS[self.orientations])
        return {names[copy.id]: copy for copy in report.dropped}

    def _verdict(
        self,
        key: bytes,
        is_first: bool,
        owner: dict[bytes, str],
        copies: dict[bytes, Copy],
        refused: dict[bytes, tuple[str, str]],
    ) -> tuple[str, str] | None:
        """Why a sample has no need to show a picture; None if it shows it for all."""
        if key in refused:
            return refused[key]
        if key in copies:
            return "near_duplicate", copies[key].why
        if self.same_file == "one" and not is_first:
            return "same_file", f"the very file of {owner[key]}"
        return None

    def decide(self, batch: Sequence[Sample], number: int, decision: Any, tools: Tools) -> list[Result]:
        """Drop what was decided."""
        dropped = decision.get(number, {})
        return [Dropped(*dropped[place]) if place in dropped else sample for place, sample in enumerate(batch)]
