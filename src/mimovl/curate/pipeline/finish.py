"""Shards of the last segment → one dataset folder (``store_format``), with the drops and the stories of all segments.

Records and rows of events are copied in the order of tasks; media are packed by the workers: what no kept sample shows
is left behind, what several tasks brought is taken once, and a tar that is needed whole is linked, not copied. Nothing
in the folder depends on time: two runs of a recipe give the same bytes.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mimovl import __version__
from mimovl.atomic import AtomicDirectory
from mimovl.curate.pipeline.events import DUPLICATE, EVENT_SCHEMA, Tally
from mimovl.curate.pipeline.plan import Plan, Task
from mimovl.curate.pipeline.pool import Pool
from mimovl.curate.pipeline.shard import EVENTS, RECORDS, Lying, id_digest, media_of, shard_path
from mimovl.store_format import (
    DROPPED_FILE,
    DROPPED_SCHEMA,
    FORMAT,
    MANIFEST_FILE,
    MEDIA_INDEX_FILE,
    MEDIA_SCHEMA,
    RECORD_SCHEMA,
    VERSION,
    media_shard,
    record_shard,
)
from mimovl.store_writer import git_revision

__all__ = ["EVENTS_FILE", "Pack", "finish", "pack"]

EVENTS_FILE = "explain/events.parquet"

_ALONE_BYTES = 32 << 20
"""A tar of this size that is needed whole becomes a file of the dataset as it is."""
_HEADER = 512
_GROUP_ROWS = 1024


@dataclass
class Pack:
    """A tar to make: stretches of others, one after the other."""

    target: Path
    spans: list[tuple[Path, int, int]] = field(default_factory=list)
    """Tar, first byte, number of bytes."""
    size: int = 0

    def add(self, lying: Lying) -> int:
        """Take a member with its header and padding; returns where its bytes will begin."""
        begin, length = lying.offset - _HEADER, _HEADER + lying.size + -lying.size % _HEADER
        offset = self.size + _HEADER
        self.size += length
        if self.spans and self.spans[-1][0] == lying.tar and sum(self.spans[-1][1:]) == begin:
            _, first, so_far = self.spans.pop()
            begin, length = first, so_far + length
        self.spans.append((lying.tar, begin, length))
        return offset

    @property
    def whole(self) -> Path | None:
        """The one tar this is, if it is all of one."""
        if len(self.spans) != 1:
            return None
        path, begin, length = self.spans[0]
        return path if begin == 0 and path.stat().st_size == length + 1024 else None


def pack(common: bytes, job: Pack) -> Pack:
    """Make a tar, unless it is there."""
    if job.target.exists():
        return job
    partial = job.target.with_name(f".{job.target.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    if (whole := job.whole) is not None:
        _link(whole, partial)
    else:
        with open(partial, "wb") as out, ExitStack() as stack:
            files: dict[Path, Any] = {}
            for path, begin, length in job.spans:
                if path not in files:
                    files[path] = stack.enter_context(open(path, "rb", buffering=0))
                files[path].seek(begin)
                while length:
                    some = files[path].read(min(length, 4 << 20))
                    assert some, f"{path} ends early"
                    out.write(some)
                    length -= len(some)
            out.write(bytes(1024))
            out.flush()
            os.fsync(out.fileno())
    os.replace(partial, job.target)
    return job


def finish(
    plan: Plan,
    tasks: Sequence[Task],
    out: Path,
    pool: Pool,
    *,
    about: str,
    recipe_hash: str,
    labels: Sequence[str],
    tallies: Sequence[Tally],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Write the dataset and return its manifest.

    Args:
        plan: the curation.
        tasks: all of them, done in every segment.
        out: folder to make.
        pool: packs media.
        about: digest of the curation.
        recipe_hash: kept in the manifest.
        labels: reading, the steps, storing.
        tallies: counts of the same.
        say: told what is being done.
    """
    say("writing the dataset")
    packed = plan.work / "packed"
    packed.mkdir(exist_ok=True)
    with AtomicDirectory(out) as directory:
        folder = directory.temporary
        with _Assembly(plan, folder, packed, labels, tallies[-1]) as assembly:
            for task in tasks:
                assembly.take(task)
            for done, _ in enumerate(pool.run(pack, b"", assembly.packs()), 1):
                say(f"packing media {done}")
        for number in range(assembly.num_packs):
            _link(packed / media_shard(number), folder / media_shard(number))
        files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name[0] != ".")
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "mimovl": __version__,
            "recipe_hash": recipe_hash,
            "git_revision": git_revision(),
            "curation": about,
            "counts": {
                "kept": assembly.num_records,
                "dropped": dict(sorted(sum((tally.dropped for tally in tallies), Counter[str]()).items())),
                **{f"by_{name}": dict(sorted(counter.items())) for name, counter in assembly.counts.items()},
                "media": assembly.num_media,
                "media_bytes": assembly.media_bytes,
            },
            "steps": [{"step": label, **tally.to_json()} for label, tally in zip(labels, tallies, strict=True)],
            "notes": {},
            "record_shards": assembly.records.number + 1,
            "media_shards": assembly.num_packs,
            "files": {str(path.relative_to(folder)): path.stat().st_size for path in files},
        }
        text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
        (folder / MANIFEST_FILE).write_text(text, encoding="utf-8")
    return manifest


class _Assembly:
    """Takes tasks in order; holds a digest of each id and media key, and no more of a sample."""

    def __init__(self, plan: Plan, folder: Path, packed: Path, labels: Sequence[str], store: Tally) -> None:
        self.plan, self.packed, self.labels, self.store = plan, packed, labels, store
        self.counts: dict[str, Counter[str]] = {"source": Counter(), "task": Counter(), "language": Counter()}
        self.num_records = self.num_media = self.media_bytes = 0
        limit = plan.limits.shard_bytes
        self.records = _Parquet(folder, record_shard, RECORD_SCHEMA, limit)
        self._index = _Parquet(folder, lambda _: MEDIA_INDEX_FILE, MEDIA_SCHEMA, 1 << 62, always=True)
        dropped = DROPPED_SCHEMA.append(pa.field("step", pa.string()))
        self._dropped = _Parquet(folder, lambda _: DROPPED_FILE, dropped, 1 << 62)
        self._events = _Parquet(folder, lambda _: EVENTS_FILE, EVENT_SCHEMA, 1 << 62, always=True)
        self._ids: set[bytes] = set()
        self._keys: set[bytes] = set()
        self._packs: list[Pack] = []

    @property
    def num_packs(self) -> int:
        """Tars of media."""
        return len(self._packs)

    def packs(self) -> Iterator[Pack]:
        """Tars to make."""
        return iter(self._packs)

    def take(self, task: Task) -> None:
        """Copy a task's records and events, and choose its media."""
        plan = self.plan
        last = len(plan.segments) - 1
        repeated: list[str] = []
        known = media_of(plan.work, len(plan.segments), task.number)
        wanted: list[Lying] = []
        with pq.ParquetFile(shard_path(plan.work, last, task.number) / RECORDS) as file:
            for group in range(file.metadata.num_row_groups):
                table = file.read_row_group(group, use_threads=False)
                fresh = [self._is_new(name) for name in table["id"].to_pylist()]
                if not all(fresh):
                    repeated += table["id"].filter(pa.array([not new for new in fresh])).to_pylist()
                    table = table.filter(pa.array(fresh))
                self._take_records(table, known, wanted)
        self._choose(wanted)
        self._take_events(task, repeated)
        self.store.passed -= len(repeated)
        if repeated:
            self.store.dropped[DUPLICATE.reason] += len(repeated)

    def _take_records(self, table: pa.Table, known: Mapping[str, Lying], wanted: list[Lying]) -> None:
        self.num_records += table.num_rows
        for name, counter in self.counts.items():
            for pair in pc.value_counts(table[name]).to_pylist():
                counter[pair["values"]] += pair["counts"]
        for keys in table["media"].to_pylist():
            for key in keys:
                digest = bytes.fromhex(key)
                if digest not in self._keys:
                    self._keys.add(digest)
                    wanted.append(known[key])
        self.records.write(table)

    def _is_new(self, sample_id: str) -> bool:
        digest = id_digest(sample_id)
        if digest in self._ids:
            return False
        self._ids.add(digest)
        return True

    def _choose(self, wanted: Sequence[Lying]) -> None:
        """Put a task's media into packs."""
        alone = Pack(Path())
        for lying in wanted:
            alone.add(lying)
        stands_alone = alone.size >= _ALONE_BYTES and alone.whole is not None
        rows = []
        for number, lying in enumerate(wanted):
            full = bool(self._packs) and self._packs[-1].size >= self.plan.limits.shard_bytes
            closed = bool(self._packs) and self._packs[-1].size >= _ALONE_BYTES and self._packs[-1].whole is not None
            if not self._packs or full or (number == 0 and (stands_alone or closed)):
                self._packs.append(Pack(self.packed / media_shard(len(self._packs))))
            offset = self._packs[-1].add(lying)
            rows.append((
                lying.sha256, lying.kind, len(self._packs) - 1, offset, lying.size,
                lying.width, lying.height, lying.num_frames, lying.fps,
            ))  # fmt: skip
        if rows:
            columns = zip(*rows, strict=True)
            arrays = [pa.array(column, type=kind.type) for column, kind in zip(columns, MEDIA_SCHEMA, strict=True)]
            self._index.write(pa.table(arrays, schema=MEDIA_SCHEMA))
        self.num_media += len(wanted)
        self.media_bytes += sum(lying.size for lying in wanted)

    def _take_events(self, task: Task, repeated: Sequence[str]) -> None:
        tables = [
            pq.read_table(shard_path(self.plan.work, number, task.number) / EVENTS, use_threads=False)
            for number in range(len(self.plan.segments))
        ]
        if repeated:
            step = len(self.plan.steps)
            rows = [(name, step, "dropped", DUPLICATE.reason, DUPLICATE.detail) for name in repeated]
            arrays = [pa.array(c, type=k.type) for c, k in zip(zip(*rows, strict=True), EVENT_SCHEMA, strict=True)]
            tables.append(pa.table(arrays, schema=EVENT_SCHEMA))
        events = pa.concat_tables(tables)
        self._events.write(events)
        drops = events.filter(pc.equal(events["what"], "dropped"))
        if drops.num_rows:
            steps = pa.array([self.labels[step + 1] for step in drops["step"].to_pylist()], type=pa.string())
            schema = DROPPED_SCHEMA.append(pa.field("step", pa.string()))
            self._dropped.write(pa.table([drops["id"], drops["reason"], drops["detail"], steps], schema=schema))

    def __enter__(self) -> _Assembly:
        return self

    def __exit__(self, *_: Any) -> None:
        for writer in (self.records, self._index, self._dropped, self._events):
            writer.close()


class _Parquet:
    """Tables on their way to parquet files; small ones are put together to row groups."""

    def __init__(
        self, folder: Path, name: Callable[[int], str], schema: pa.Schema, limit: int, *, always: bool = False
    ) -> None:
        self.folder, self.name, self.schema, self.limit, self.always = folder, name, schema, limit, always
        self.number = -1
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.Table] = []
        self._size = 0

    def write(self, table: pa.Table) -> None:
        if table.num_rows:
            self._waiting.append(table)
        if sum(one.num_rows for one in self._waiting) >= _GROUP_ROWS or _bytes(self._waiting) >= 8 << 20:
            self._flush()

    def _flush(self) -> None:
        if not self._waiting:
            return
        if self._writer is not None and self._size >= self.limit:
            self._writer.close()
            self._writer = None
        self._open()
        assert self._writer is not None
        whole = pa.concat_tables(self._waiting).combine_chunks()
        self._size += whole.nbytes
        self._writer.write_table(whole, row_group_size=whole.num_rows)
        self._waiting = []

    def _open(self) -> None:
        if self._writer is None:
            self.number += 1
            self._size = 0
            path = self.folder / self.name(self.number)
            path.parent.mkdir(exist_ok=True)
            self._writer = pq.ParquetWriter(path, self.schema, compression="zstd", write_page_checksum=True)

    def close(self) -> None:
        self._flush()
        if self.always:
            self._open()
        if self._writer is not None:
            self._writer.close()


def _bytes(tables: Sequence[pa.Table]) -> int:
    return sum(table.nbytes for table in tables)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
