"""What one task of one segment leaves behind: a folder that appears whole, read again by the next segment.

records.parquet    rows of ``store_format``, a row group a chunk
media.tar          pictures this segment brought, each once; those of earlier segments stay where they are
media.parquet      where each of them lies
events.parquet     what became of each sample (``events``)
ids.npy            a digest of each sample's id
observed.pickle    what a step that must see everything noted of each chunk
facts.json         counts; written last
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mimovl.atomic import sync
from mimovl.curate.pipeline.events import Events, Tally
from mimovl.curate.step import Dropped
from mimovl.errors import DataError
from mimovl.store_format import MEDIA_SCHEMA, RECORD_SCHEMA, row_to_sample, sample_to_row, tar_header
from mimovl.types import Media, Sample

__all__ = [
    "EVENTS",
    "MEDIA",
    "MEDIA_INDEX",
    "RECORDS",
    "ShardWriter",
    "id_digest",
    "media_of",
    "read_chunks",
    "read_facts",
    "read_observed",
    "repeated_ids",
    "shard_path",
    "tallies_of",
]

RECORDS, MEDIA, MEDIA_INDEX, EVENTS = "records.parquet", "media.tar", "media.parquet", "events.parquet"
OBSERVED, IDS, FACTS = "observed.pickle", "ids.npy", "facts.json"


def shard_path(work: Path, segment: int, task: int) -> Path:
    """The folder of a task in a segment."""
    return work / f"segment-{segment}" / f"{task:06d}"


@dataclass(frozen=True, slots=True)
class Lying:
    """Where a picture lies."""

    tar: Path
    sha256: str
    kind: Any
    offset: int
    size: int
    width: int
    height: int
    num_frames: int
    fps: float

    def read(self, file: Any) -> Media:
        """The picture, from its tar open for reading."""
        file.seek(self.offset)
        return Media(self.sha256, self.kind, file.read(self.size), self.width, self.height, self.num_frames, self.fps)


class ShardWriter:
    """Writes a shard under another name and renames it at the end; an exception leaves nothing.

    Args:
        path: the folder to make.
        known: pictures that lie in earlier segments' shards.
        step: number under which what cannot be stored is dropped.
        events: where to count it.
        last: whether the steps end here.
    """

    def __init__(self, path: Path, known: Mapping[str, Lying], step: int, events: Events, *, last: bool) -> None:
        self.path, self.known, self.step, self.events, self.last = path, known, step, events, last
        path.parent.mkdir(parents=True, exist_ok=True)
        self._folder = path.with_name(f".{path.name}.{os.getpid()}")
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        self._records = pq.ParquetWriter(self._folder / RECORDS, RECORD_SCHEMA, compression="zstd", compression_level=1)
        self._observed = open(self._folder / OBSERVED, "wb")  # noqa: SIM115
        self._tar: Any = None
        self._media: dict[str, tuple[Any, ...]] = {}
        self._ids: list[bytes] = []
        self.num_chunks = 0
        self.num_samples = 0

    def write(self, chunk: Sequence[Sample], hashed: Mapping[str, Media]) -> list[Sample]:
        """Store a chunk; returns those that could be stored.

        Args:
            chunk: samples.
            hashed: media whose hash was just computed, and need not be again.
        """
        rows: list[dict[str, Any]] = []
        stored: list[Sample] = []
        tally = self.events.tally(self.step)
        for sample in chunk:
            try:
                rows.append(sample_to_row(sample))
                for key, media in sample.media.items():
                    self._store(key, media, hashed.get(key) is media)
            except DataError as error:
                rows = rows[: len(stored)]
                self.events.drop(sample.id, self.step, Dropped("not_storable", str(error)))
                continue
            stored.append(sample)
        tally.seen += len(chunk) if self.last else len(chunk) - len(stored)
        tally.passed += len(stored) if self.last else 0
        if rows:
            self._records.write_table(pa.Table.from_pylist(rows, schema=RECORD_SCHEMA))
            self.num_chunks += 1
            self.num_samples += len(rows)
            self._ids += [id_digest(sample.id) for sample in stored]
        return stored

    def observe(self, observed: Any) -> None:
        """Keep what was noted of the chunk just written."""
        pickle.dump(observed, self._observed, protocol=5)

    def close(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Put everything on the disk and under its name; returns the facts."""
        self._records.close()
        self._observed.close()
        if self._tar is not None:
            self._tar.write(bytes(1024))
            self._tar.close()
        np.save(self._folder / IDS, np.frombuffer(b"".join(self._ids), np.uint64).reshape(-1, 2))
        columns = list(zip(*self._media.values(), strict=True)) or [()] * len(MEDIA_SCHEMA)
        arrays = [pa.array(column, type=kind.type) for column, kind in zip(columns, MEDIA_SCHEMA, strict=True)]
        if self._media:
            pq.write_table(pa.table(arrays, schema=MEDIA_SCHEMA), self._folder / MEDIA_INDEX)
        pq.write_table(self.events.table(), self._folder / EVENTS, compression="zstd")
        whole = {
            "chunks": self.num_chunks,
            "samples": self.num_samples,
            "media_bytes": sum(entry[4] for entry in self._media.values()),
            "tallies": {str(step): tally.to_json() for step, tally in sorted(self.events.tallies.items())},
            **facts,
        }
        (self._folder / FACTS).write_text(json.dumps(whole), encoding="utf-8")
        for name in sorted(os.listdir(self._folder)):
            sync(self._folder / name)
        if self.path.exists():  # another worker, thought dead, did the same task: its shard is the same
            shutil.rmtree(self._folder)
        else:
            with contextlib.suppress(FileExistsError, OSError):
                os.rename(self._folder, self.path)
            shutil.rmtree(self._folder, ignore_errors=True)
        sync(self.path.parent)
        return whole

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in (self._records, self._observed, self._tar):
            if file is not None:
                file.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _store(self, key: str, media: Media, is_hashed: bool) -> None:
        if key in self._media:
            known: tuple[Any, ...] = self._media[key]
            facts = (known[1], *known[5:])
        elif key in self.known:
            lying = self.known[key]
            facts = (lying.kind, lying.width, lying.height, lying.num_frames, lying.fps)
        else:
            if key != media.sha256 or not (is_hashed or hashlib.sha256(media.data).hexdigest() == key):
                raise DataError(f"media {key[:16]!r} is not the SHA-256 of its {len(media.data)} bytes")
            if self._tar is None:
                self._tar = open(self._folder / MEDIA, "wb")  # noqa: SIM115
            self._tar.write(tar_header(media))
            offset = self._tar.tell()
            self._tar.write(media.data)
            self._tar.write(bytes(-len(media.data) % 512))
            self._media[key] = (
                key, media.kind, 0, offset, len(media.data), media.width, media.height, media.num_frames, media.fps
            )  # fmt: skip
            return
        if facts != (media.kind, media.width, media.height, media.num_frames, media.fps):
            raise DataError(f"media {key[:16]} was stored as {facts}, now it is said to be another")


def media_of(work: Path, segment: int, task: int) -> dict[str, Lying]:
    """Where the pictures lie that a task brought before a segment."""
    found: dict[str, Lying] = {}
    for number in range(segment):
        folder = shard_path(work, number, task)
        if (folder / MEDIA_INDEX).is_file():
            columns = pq.read_table(folder / MEDIA_INDEX, use_threads=False).to_pydict()
            del columns["shard"]
            for row in zip(*columns.values(), strict=True):
                found[row[0]] = Lying(folder / MEDIA, *row)
    return found


def read_chunks(work: Path, segment: int, task: int, known: Mapping[str, Lying]) -> Iterator[list[Sample]]:
    """The chunks a task wrote in a segment, with their pictures."""
    with contextlib.ExitStack() as stack:
        tars: dict[Path, Any] = {}

        def media(key: str) -> Media:
            lying = known[key]
            if lying.tar not in tars:
                tars[lying.tar] = stack.enter_context(open(lying.tar, "rb", buffering=0))
            return lying.read(tars[lying.tar])

        file = stack.enter_context(pq.ParquetFile(shard_path(work, segment, task) / RECORDS))
        for group in range(file.metadata.num_row_groups):
            rows = file.read_row_group(group, use_threads=False).to_pylist()
            yield [row_to_sample(row, {key: media(key) for key in row["media"]}) for row in rows]


def id_digest(sample_id: str) -> bytes:
    """Sixteen bytes that stand for an id."""
    return hashlib.blake2b(sample_id.encode(), digest_size=16).digest()


def repeated_ids(work: Path, segment: int, count: int) -> dict[int, list[int]]:
    """By task, the places of samples whose id a sample before them has."""
    parts = [np.load(shard_path(work, segment, task) / IDS) for task in range(count)]
    starts = np.cumsum([0, *map(len, parts)])
    digests = np.concatenate([np.empty((0, 2), np.uint64), *parts])
    order = np.lexsort((np.arange(len(digests)), digests[:, 1], digests[:, 0]))
    same = (digests[order][1:] == digests[order][:-1]).all(axis=1)
    found: dict[int, list[int]] = {}
    for place in np.sort(order[1:][same]).tolist():
        task = int(np.searchsorted(starts, place, side="right")) - 1
        found.setdefault(task, []).append(place - int(starts[task]))
    return found


def read_observed(work: Path, segment: int, task: int) -> Iterator[Any]:
    """What was noted of a task's chunks, in order."""
    with open(shard_path(work, segment, task) / OBSERVED, "rb") as file:
        while True:
            try:
                yield pickle.load(file)
            except EOFError:
                return


def read_facts(work: Path, segment: int, task: int) -> dict[str, Any] | None:
    """Counts of a finished shard; None if it is not there."""
    try:
        facts: dict[str, Any] = json.loads((shard_path(work, segment, task) / FACTS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return facts


def tallies_of(facts: Mapping[str, Any]) -> dict[int, Tally]:
    """Counts by step."""
    return {int(step): Tally.from_json(values) for step, values in facts["tallies"].items()}
