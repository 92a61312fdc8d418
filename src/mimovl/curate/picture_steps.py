"""Steps about single pictures: whether each decodes and is of a size, and its perceptual hash.

    steps:
      - {step: check_pictures, least_side: 64, most_aspect: 4}
      - {step: hash_pictures}

Reasons of drops: those of ``decode``, and too_small, too_long, no_picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from pydantic import Field

from mimovl.curate.decode import decode
from mimovl.curate.grey import read_grey
from mimovl.curate.phash import HASH_NAMES, hash_cells
from mimovl.curate.step import Apply, Dropped, Result, Step, Tools
from mimovl.errors import MediaError
from mimovl.types import Sample

__all__ = ["CheckPictures", "HashPictures"]


class CheckPictures(Step):
    """Decode every picture; drop a sample of which one cannot be, or is not of a size."""

    step: Literal["check_pictures"] = "check_pictures"
    """Drop samples whose pictures do not decode or are too small or long."""
    least_side: int = Field(default=28, ge=1)
    """Pixels of the shorter side, at least."""
    most_aspect: float = Field(default=200.0, ge=1)
    """Longer side by shorter side, at most; the model's own limit is 200."""
    needed: bool = False
    """Drop samples without a picture."""

    def open(self, tools: Tools) -> Apply:
        """Nothing to get ready."""
        return lambda batch: [self._checked(sample) for sample in batch]

    def _checked(self, sample: Sample) -> Result:
        if self.needed and not sample.media:
            return Dropped("no_picture")
        for key, media in sample.media.items():
            if media.kind != "image":
                continue
            short, long = sorted((media.width, media.height))
            if short < self.least_side:
                return Dropped("too_small", f"{media.width}×{media.height}, {self.least_side} is the least")
            if long > self.most_aspect * short:
                return Dropped("too_long", f"{media.width}×{media.height}, {self.most_aspect:g}:1 is the most")
            try:
                decode(media.data, name=key[:16])
            except MediaError as error:
                return Dropped(error.reason, str(error))
        return sample


class HashPictures(Step):
    """Write each picture's perceptual hash into ``meta["phash"]``, hexadecimal, with the hash's name."""

    step: Literal["hash_pictures"] = "hash_pictures"
    """Write perceptual hashes into meta."""
    bits: Literal[64, 256] = 64
    """Length of the hash."""

    def open(self, tools: Tools) -> Apply:
        """Nothing to get ready."""
        return self._hashed

    def _hashed(self, batch: Sequence[Sample]) -> list[Result]:
        cells = {}
        refused: dict[str, MediaError] = {}
        for sample in batch:
            for key, media in sample.media.items():
                if media.kind == "image" and key not in cells and key not in refused:
                    try:
                        cells[key] = read_grey(media.data, name=key[:16])
                    except MediaError as error:
                        refused[key] = error
        hashes = hash_cells(list(cells.values()), self.bits)[:, 0]
        words = {key: "".join(f"{int(word):016x}" for word in row) for key, row in zip(cells, hashes, strict=True)}
        results: list[Result] = []
        for sample in batch:
            if bad := [refused[key] for key in sample.media if key in refused]:
                results.append(Dropped(bad[0].reason, str(bad[0])))
            elif found := [words[key] for key in sample.media if key in words]:
                meta = {**sample.meta, "phash": found, "phash_name": HASH_NAMES[self.bits]}
                results.append(replace(sample, meta=meta))
            else:
                results.append(sample)
        return results
