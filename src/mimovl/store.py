"""A dataset directory: samples by number or id, their pictures read from where they lie.

    with DatasetWriter("runs/tiny/data/train") as writer:
        writer.add(sample)
        writer.drop("scene-7", "two_answers", "two red circles")
    dataset = Dataset.open("runs/tiny/data/train")
    dataset[0].media, dataset.records[0].task, dataset.manifest["counts"]

Files and their columns are in ``store_format``; the writer in ``store_writer``. Nothing is kept open between reads, so
a dataset may be pickled, forked and read from many threads.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, BinaryIO, overload

import pyarrow as pa
import pyarrow.parquet as pq

from mimovl.byte_range import open_range
from mimovl.errors import DataError, UsageError
from mimovl.store_format import (
    DROPPED_FILE,
    FORMAT,
    MANIFEST_FILE,
    MEDIA_INDEX_FILE,
    RECORD_COLUMNS,
    VERSION,
    media_shard,
    record_shard,
    row_to_sample,
)
from mimovl.store_writer import DatasetWriter
from mimovl.types import Media, MediaKind, Sample

__all__ = ["Dataset", "DatasetWriter", "Drop", "Record", "RecordMedia"]

_CACHED_GROUPS = 64
"""Decoded row groups kept in memory: 64k small samples, or 512 MB of long texts at most."""


@dataclass(frozen=True, slots=True)
class RecordMedia:
    """A picture or clip without its bytes. ``size`` is in bytes, sides in pixels."""

    sha256: str
    kind: MediaKind
    size: int
    width: int
    height: int
    num_frames: int
    fps: float


@dataclass(frozen=True, slots=True)
class Record:
    """What mixing and packing need to know of a sample; costs no media read."""

    id: str
    task: str
    source: str
    language: str
    media: tuple[RecordMedia, ...]


@dataclass(frozen=True, slots=True)
class Drop:
    """Something left out, and why."""

    id: str
    reason: str
    detail: str
    step: str = ""
    """Of a curation, the step that left it out."""


class Dataset(Sequence[Sample]):
    """A finished dataset directory, read-only. Make one with ``Dataset.open``."""

    def __init__(self, path: Path, manifest: dict[str, Any], damaged: Mapping[str, str] | None = None) -> None:
        self.path = path
        self.manifest = manifest
        self.damaged = dict(damaged or {})
        """Files that are missing or not as they were written, each with what is wrong; only when asked to skip them."""
        self._group = lru_cache(_CACHED_GROUPS)(self._read_group)

    @classmethod
    def open(cls, path: Path | str, *, skip_damaged: bool = False) -> Dataset:
        """Open a dataset; checks that its files are all there, at their full sizes.

        Args:
            path: its folder.
            skip_damaged: go on without damaged shards, which are listed in ``damaged``; samples whose pictures lie in
                one are still counted, and raise when they are read.

        Raises:
            UsageError: There is no such folder.
            DataError: It is unfinished, damaged, of a newer format, or no dataset; says what to do.
        """
        path = Path(path)
        if not path.is_dir():
            raise UsageError(f"{path}: no such dataset folder")
        try:
            manifest = json.loads((path / MANIFEST_FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            inner = sorted(child.parent.name for child in path.glob(f"*/{MANIFEST_FILE}"))
            hint = f"; did you mean {path / inner[0]}?" if inner else "; give the folder of one that mimovl made"
            raise DataError(f"{path}: no {MANIFEST_FILE}: not a dataset{hint}") from None
        except (OSError, ValueError) as error:
            raise DataError(f"{path / MANIFEST_FILE} cannot be read ({error}); {_REMAKE}") from None
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise DataError(f"{path / MANIFEST_FILE} does not describe a {FORMAT}; give a folder made by mimovl")
        if manifest.get("version") != VERSION:
            raise DataError(
                f"{path} has format version {manifest.get('version')}, this mimovl reads {VERSION}; "
                "write it again or install the mimovl that made it"
            )
        damaged = {}
        for name, size in manifest["files"].items():
            file = path / name
            found = file.stat().st_size if file.is_file() else None
            if found != size:
                state = "is missing" if found is None else f"has {found} bytes, the manifest says {size}"
                damaged[name] = f"{file} {state}"
        if damaged and (not skip_damaged or MEDIA_INDEX_FILE in damaged):
            raise DataError(f"{damaged.get(MEDIA_INDEX_FILE) or next(iter(damaged.values()))}; {_REMAKE}")
        dataset = cls(path, manifest, damaged)
        if skip_damaged:
            dataset.damaged |= dataset._damaged_records()
        return dataset

    def __len__(self) -> int:
        if self.damaged:
            return self.starts[-1]
        return int(self.manifest["counts"]["kept"])

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        """The sample, its pictures read and checked against their hashes.

        Raises:
            DataError: A file is damaged; names it.
        """
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        row = self._row(index)
        return row_to_sample(row, {key: self._read_media(key) for key in row["media"]})

    def peek(self, index: int) -> tuple[Sample, Callable[[str], BinaryIO]]:
        """The sample with media of no bytes, and what opens each by its key, so that a header can be read alone."""
        row = self._row(index)
        media = {}
        for key in row["media"]:
            _, kind, _, _, _, width, height, num_frames, fps = self._locate(key)
            media[key] = Media(key, kind, b"", width, height, num_frames, fps)
        return row_to_sample(row, media), self.open_media

    def open_media(self, key: str) -> BinaryIO:
        """A picture or clip as a file, where it lies in its shard; not checked against its hash."""
        _, _, shard, offset, size, *_ = self._locate(key)
        path = self.path / media_shard(shard)
        try:
            return open_range(path, offset, size)
        except OSError as error:
            raise _damaged(path, error) from None

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"Dataset({str(self.path)!r}, {len(self)} samples)"

    def find(self, sample_id: str) -> Sample:
        """The sample of that id.

        Raises:
            UsageError: There is none.
        """
        if sample_id not in self._positions:
            raise UsageError(f"{self.path} has no sample with the id {sample_id!r}")
        return self[self._positions[sample_id]]

    @cached_property
    def ids(self) -> list[str]:
        """Ids in order."""
        return [record.id for record in self.records]

    @cached_property
    def records(self) -> list[Record]:
        """Every sample without texts and bytes, in order."""
        seen: dict[str, RecordMedia] = {}
        records: list[Record] = []
        for shard in self._shards:
            table = _read_table(self.path / record_shard(shard), RECORD_COLUMNS).to_pydict()
            for id_, task, source, language, keys in zip(*(table[name] for name in RECORD_COLUMNS), strict=True):
                for key in keys:
                    if key not in seen:
                        _, kind, _, _, size, width, height, num_frames, fps = self._locate(key)
                        seen[key] = RecordMedia(key, kind, size, width, height, num_frames, fps)
                records.append(Record(id_, task, source, language, tuple(seen[key] for key in keys)))
        return records

    @property
    def counts_by_source(self) -> dict[str, int]:
        """Number of samples of each source."""
        return dict(self.manifest["counts"]["by_source"])

    @property
    def counts_by_task(self) -> dict[str, int]:
        """Number of samples of each task."""
        return dict(self.manifest["counts"]["by_task"])

    def drops(self) -> list[Drop]:
        """What was left out, in the order it was met."""
        if DROPPED_FILE not in self.manifest["files"]:
            return []
        return [Drop(**row) for row in _read_table(self.path / DROPPED_FILE).to_pylist()]

    def __getstate__(self) -> dict[str, Any]:
        """Only where it is: a copy in another process reads for itself."""
        return {"path": self.path, "manifest": self.manifest, "damaged": self.damaged}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {sample_id: index for index, sample_id in enumerate(self.ids)}

    @property
    def starts(self) -> list[int]:
        """Number of the first sample of each row group, and of all samples: what lies together on the disk."""
        return self._groups[0]

    @property
    def _shards(self) -> list[int]:
        """Numbers of the record shards that can be read."""
        return [n for n in range(self.manifest["record_shards"]) if record_shard(n) not in self.damaged]

    @cached_property
    def _groups(self) -> tuple[list[int], list[tuple[int, int]]]:
        """First sample of each row group and the number of samples; (shard, group) of each."""
        starts = [0]
        groups: list[tuple[int, int]] = []
        for shard in self._shards:
            path = self.path / record_shard(shard)
            try:
                metadata = pq.read_metadata(path)
            except (OSError, pa.ArrowException) as error:
                raise _damaged(path, error) from None
            for group in range(metadata.num_row_groups):
                groups.append((shard, group))
                starts.append(starts[-1] + metadata.row_group(group).num_rows)
        if not self.damaged and starts[-1] != len(self):
            raise DataError(f"{self.path} holds {starts[-1]} samples, its manifest says {len(self)}; {_REMAKE}")
        return starts, groups

    def _damaged_records(self) -> dict[str, str]:
        """Record shards of full size that cannot be opened, each with what is wrong."""
        found = {}
        for path in (self.path / record_shard(shard) for shard in self._shards):
            try:
                pq.read_metadata(path)
            except (OSError, pa.ArrowException) as error:
                found[path.name] = f"{path} cannot be read ({str(error).splitlines()[0]})"
        return found

    def _row(self, index: int) -> dict[str, Any]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.path} has {len(self)} samples, asked for number {index}")
        index %= len(self)
        starts, groups = self._groups
        number = bisect_right(starts, index) - 1
        return self._group(*groups[number])[index - starts[number]]

    def _read_group(self, shard: int, group: int) -> list[dict[str, Any]]:
        path = self.path / record_shard(shard)
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                rows: list[dict[str, Any]] = file.read_row_group(group, use_threads=False).to_pylist()
                return rows
        except (OSError, pa.ArrowException) as error:
            raise _damaged(path, error) from None

    @cached_property
    def _index(self) -> dict[str, tuple[Any, ...]]:
        columns = _read_table(self.path / MEDIA_INDEX_FILE).to_pydict()
        return {row[0]: row for row in zip(*columns.values(), strict=True)}

    def _locate(self, key: str) -> tuple[Any, ...]:
        try:
            return self._index[key]
        except KeyError:
            raise DataError(f"{self.path / MEDIA_INDEX_FILE} lacks {key[:16]}…; {_REMAKE}") from None

    def _read_media(self, key: str) -> Media:
        _, kind, shard, offset, size, width, height, num_frames, fps = self._locate(key)
        path = self.path / media_shard(shard)
        try:
            with open(path, "rb", buffering=0) as file:
                file.seek(offset)
                data = file.read(size)
        except OSError as error:
            raise _damaged(path, error) from None
        if hashlib.sha256(data).hexdigest() != key:
            raise DataError(f"{path}: the bytes at {offset} are not the picture {key[:16]}…; {_REMAKE}")
        return Media(key, kind, data, width, height, num_frames, fps)


_REMAKE = "the dataset is damaged: delete its folder and write it again"


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} cannot be read ({str(error).splitlines()[0]}); {_REMAKE}")


def _read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return file.read(columns=columns, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from None
