"""What a run draws from: one dataset made or imported by it, or folders to stream from, and questions for its MORL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mimovl.data import Mixture, SampleFolders, indices_by_source
from mimovl.data.lengths import OpenMedia
from mimovl.errors import DataError
from mimovl.pipeline.config import DataConfig
from mimovl.store import Dataset
from mimovl.train import StageConfig
from mimovl.types import Sample

__all__ = ["IndexedSamples", "Prompts", "check_mixture", "training_samples"]


class IndexedSamples:
    """A dataset as the trainer sees it."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self.path = dataset.path
        """Where its index of lengths is looked for."""
        self.sources = [record.source for record in dataset.records]

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Sample:
        return self._dataset[index]

    def peek(self, index: int) -> tuple[Sample, OpenMedia]:
        """A sample without its media's bytes, and what opens them."""
        return self._dataset.peek(index)

    def __getstate__(self) -> dict[str, Any]:
        """A process that reads ahead needs no sources."""
        return {**vars(self), "sources": []}


class Prompts(Sequence[Sample]):
    """Questions for reinforcement learning, of one or more datasets; a sample's last answer is left out.

    Args:
        folders: of datasets.

    Raises:
        UsageError: a folder is no dataset.
        DataError: a folder is named twice, or two have a sample of the same id, by which prompts are known.
    """

    def __init__(self, folders: Iterable[Path | str]) -> None:
        datasets = [Dataset.open(folder) for folder in folders]
        self._places = [(dataset, number) for dataset in datasets for number in range(len(dataset))]
        self.ids = [record.id for dataset in datasets for record in dataset.records]
        """Of each."""
        self.tasks = [record.task for dataset in datasets for record in dataset.records]
        """Of each."""
        self._check_ids()

    def _check_ids(self) -> None:
        owners: dict[str, Dataset] = {}
        for name, (dataset, _) in zip(self.ids, self._places, strict=True):
            other = owners.setdefault(name, dataset)
            if other is dataset:
                continue
            if other.path.resolve() == dataset.path.resolve():
                raise DataError(f"data.prompt_folders names {dataset.path} twice; name each folder once")
            raise DataError(
                f"data.prompt_folders: {other.path} and {dataset.path} both have a sample {name!r}, and prompts are "
                "known by their ids; write one of the two again with other ids, or leave it out"
            )

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        dataset, number = self._places[index]
        sample = dataset[number]
        if sample.messages and sample.messages[-1].role == "assistant":
            return replace(sample, messages=sample.messages[:-1])
        return sample


def training_samples(config: DataConfig, folder: Path, stage: StageConfig) -> IndexedSamples | SampleFolders:
    """What a stage draws from.

    Args:
        config: of the run's data.
        folder: its training dataset, where it does not name folders of its own.
        stage: says what to do with damaged files.

    Raises:
        UsageError: a folder is missing.
        DataError: a folder cannot be used.
    """
    if config.sources:
        return SampleFolders(config.sources, damaged=stage.loading.damaged if stage.loading else "refuse")
    return IndexedSamples(Dataset.open(folder))


def check_mixture(where: str, weights: Mapping[str, float], names: list[str] | SampleFolders, *, seed: int) -> None:
    """Refuse a mixture of what is not there.

    Args:
        where: the stage or step, for the error.
        weights: by source or task.
        names: source or task of each sample, or the folders to draw from.
        seed: of the run.

    Raises:
        DataError: names the mixture, what it asks for and what there is.
    """
    try:
        if isinstance(names, SampleFolders):
            names.mixture(weights, seed=seed)
        else:
            Mixture(indices_by_source(names), weights, seed=seed)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
