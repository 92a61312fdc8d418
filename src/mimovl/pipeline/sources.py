"""The samples that train: one dataset of several sources, or a dataset folder for each source (``data.sources``)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

from mimovl.errors import DataError, UsageError
from mimovl.store import Dataset
from mimovl.types import Sample

__all__ = ["TrainingSamples", "open_sources"]


class TrainingSamples:
    """Datasets end to end, as the trainer sees them.

    Args:
        datasets: each with the source its samples are of, or with None to keep the source each of them has.
    """

    def __init__(self, datasets: list[tuple[str | None, Dataset]]) -> None:
        self._datasets = datasets
        self._ends = list(accumulate(len(dataset) for _, dataset in datasets))
        self.sources: list[str] = []
        """Source of each sample."""
        for name, dataset in datasets:
            self.sources += [record.source for record in dataset.records] if name is None else [name] * len(dataset)

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(f"there are {len(self)} samples, asked for number {index}")
        place = bisect_right(self._ends, index)
        name, dataset = self._datasets[place]
        sample = dataset[index - (self._ends[place] - len(dataset))]
        return sample if name is None else replace(sample, source=name)


def open_sources(folders: Mapping[str, str]) -> TrainingSamples:
    """The dataset folder of each source.

    Raises:
        UsageError: a folder is not there; names the first of them with the recipe's field.
        DataError: a folder is no finished dataset; names the field.
    """
    if missing := [name for name, folder in folders.items() if not Path(folder).is_dir()]:
        listed = ", ".join(f"data.sources.{name}: {folders[name]}" for name in missing[:3])
        listed += f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise UsageError(
            f"{len(missing)} of {len(folders)} dataset folders are not there ({listed}); put the datasets there, or "
            f"say where they are with --set data.sources.{missing[0]}=FOLDER"
        )
    datasets: list[tuple[str | None, Dataset]] = []
    for name, folder in folders.items():
        try:
            datasets.append((name, Dataset.open(folder)))
        except DataError as error:
            raise DataError(f"data.sources.{name}: {error}") from None
    return TrainingSamples(datasets)
