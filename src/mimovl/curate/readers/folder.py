"""A dataset that mimovl made, read again: to be filtered further, or put together with others."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

from mimovl.curate.step import Dropped, Reader, Unit
from mimovl.errors import DataError
from mimovl.store import Dataset
from mimovl.types import Sample

__all__ = ["DatasetFolder"]


class DatasetFolder(Reader):
    """A dataset folder. Reasons of drops: damaged_sample."""

    reader: Literal["dataset"] = "dataset"
    """A dataset made by mimovl."""
    path: str
    """The folder."""

    def units(self) -> list[Unit]:
        """Row groups."""
        dataset = _opened(self.path)
        starts = dataset.starts
        pairs = zip(starts, starts[1:], strict=False)
        return [Unit(f"{self.path}#{begin:09d}", (begin, end), end - begin) for begin, end in pairs if end > begin]

    def read(self, unit: Unit) -> Iterator[tuple[str, Sample | Dropped]]:
        """The samples under their own ids."""
        dataset = _opened(self.path)
        begin, end = unit.where
        for number in range(begin, end):
            try:
                sample = dataset[number]
            except DataError as error:
                yield f"{self.path}#{number}", Dropped("damaged_sample", str(error))
                continue
            yield sample.id, sample


@lru_cache(maxsize=2)
def _opened(path: str) -> Dataset:
    return Dataset.open(path)
