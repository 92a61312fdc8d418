"""Samples streamed from folders, mixed by weight: MiMo-VL's mixtures (paper §2.3) over data that fits no memory.

    folders = SampleFolders({"caption": "data/caption", "ocr": "data/ocr"})
    mixture = folders.mixture({"caption": 3, "ocr": 1}, seed=0)
    PackedLoader(folders.__getitem__, mixture, processor, 8192, peek=folders.peek, workers=8)

A folder is a dataset made by mimovl or one of plain parquet files. Every source has epochs of its own, shuffled within
a bounded buffer (``data/block_order``); the n-th draw is a pure function of the seed and n, so a place in the stream is
one number, and ranks take every so-many-th draw: together they are the stream of a single process.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from itertools import accumulate
from pathlib import Path

import numpy as np

from mimovl.data.block_order import BUFFER_BYTES, BUFFER_ROWS, BlockOrder
from mimovl.data.lengths import OpenMedia, find_index
from mimovl.data.mixture import Mixture
from mimovl.data.parquet_folder import ParquetFolder
from mimovl.data.processor import Processor
from mimovl.data.sample_work import OnBad
from mimovl.errors import DataError, UsageError
from mimovl.store import Dataset
from mimovl.store_format import MANIFEST_FILE
from mimovl.types import Sample

__all__ = ["SampleFolders", "open_folder"]


def open_folder(path: Path | str, *, damaged: OnBad = "refuse") -> Dataset | ParquetFolder:
    """A dataset made by mimovl, or a folder of plain parquet files.

    Raises:
        UsageError: there is no such folder.
        DataError: it is neither, or a file of it is damaged and is not to be dropped; names it.
    """
    path = Path(path)
    if not path.is_dir():
        raise UsageError(f"{path}: no such folder of samples")
    drop = damaged == "drop"
    if (path / MANIFEST_FILE).is_file() or not any(path.rglob("*.parquet")):
        return Dataset.open(path, skip_damaged=drop)
    return ParquetFolder(path, skip_damaged=drop)


class SampleFolders:
    """Folders as one numbered dataset: the samples of the first, then of the second, and so on.

    Args:
        folders: where each source lies, by the name that mixtures give it.
        damaged: drop to go on without files that cannot be opened; they are listed in ``damaged``.

    Raises:
        UsageError: a folder is missing.
        DataError: a folder holds no samples, or a file of it is damaged; names it and the cure.
    """

    def __init__(self, folders: Mapping[str, Path | str], *, damaged: OnBad = "refuse") -> None:
        if not folders:
            raise DataError("no folder to read samples from; name at least one source and its folder")
        self.names = list(folders)
        self._folders = []
        for name, path in folders.items():
            try:
                self._folders.append(open_folder(path, damaged=damaged))
            except DataError as error:
                raise DataError(f"source {name}: {error}") from None
        self._starts = [0, *accumulate(len(folder) for folder in self._folders)]

    @property
    def damaged(self) -> list[str]:
        """What is wrong with each file left out."""
        return [problem for folder in self._folders for problem in folder.damaged.values()]

    @property
    def counts(self) -> dict[str, int]:
        """Samples of each source."""
        return {name: len(folder) for name, folder in zip(self.names, self._folders, strict=True)}

    @property
    def fingerprint(self) -> str:
        """Tells this data from other data."""
        return _digest([[name, *_facts(folder)] for name, folder in zip(self.names, self._folders, strict=True)])

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, index: int) -> Sample:
        """A sample with its pictures; its source is the mixture's name for it where it has none.

        Raises:
            DataError: it cannot be read; names the file or the sample.
        """
        place, within = self._place(index)
        return self._named(place, self._folders[place][within])

    def peek(self, index: int) -> tuple[Sample, OpenMedia]:
        """A sample whose media may hold no bytes, and what opens them."""
        place, within = self._place(index)
        folder = self._folders[place]
        if isinstance(folder, Dataset):
            sample, opens = folder.peek(within)
            return self._named(place, sample), opens
        whole = self._named(place, folder[within])
        return whole, lambda key: BytesIO(whole.media[key].data)

    def lengths(self, processor: Processor) -> np.ndarray | None:
        """Tokens of every sample, where each folder holds an index of them (``mimovl lengths``); else None."""
        found = [find_index(folder, processor, folder.path) for folder in self._folders]
        if any(index is None for index in found):
            return None
        return np.concatenate([index.tokens for index in found if index])

    def mixture(
        self,
        weights: Mapping[str, float],
        *,
        seed: int,
        rows: int = BUFFER_ROWS,
        size: int = BUFFER_BYTES,
    ) -> Mixture:
        """An endless stream of sample numbers.

        Args:
            weights: relative weight of each source, by sample drawn.
            seed: fixes the order.
            rows: samples of the shuffle's buffer, about.
            size: bytes of it, about; counts where a whole row group is read at once.

        Raises:
            DataError: a weighted source is unknown or empty, or a weight cannot be used.
        """
        orders = {}
        for name, folder, start in zip(self.names, self._folders, self._starts, strict=False):
            sizes = folder.sizes if isinstance(folder, ParquetFolder) else [0] * (len(folder.starts) - 1)
            orders[name] = BlockOrder(folder.starts, sizes, offset=start, rows=rows, size=size)
        drawn = {name: weight for name, weight in sorted(weights.items()) if weight}
        order = _digest([self.fingerprint, drawn, seed, rows, size])
        return Mixture(orders, weights, seed=seed, order=order[:16])

    def _place(self, index: int) -> tuple[int, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"{', '.join(self.names)} have {len(self)} samples together, asked for number {index}")
        place = bisect_right(self._starts, index) - 1
        return place, index - self._starts[place]

    def _named(self, place: int, sample: Sample) -> Sample:
        return sample if sample.source else replace(sample, source=self.names[place])


def _facts(folder: Dataset | ParquetFolder) -> list[object]:
    """What the order of a folder's samples hangs on; where the folder lies does not matter."""
    if isinstance(folder, ParquetFolder):
        return [folder.fingerprint]
    return [folder.manifest["files"], folder.manifest["counts"], sorted(folder.damaged)]


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
