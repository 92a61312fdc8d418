"""Writing a dataset directory; see ``store_format`` for its files and ``store`` for reading it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from mimovl import __version__
from mimovl.atomic import AtomicDirectory
from mimovl.errors import DataError
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
    sample_to_row,
    tar_header,
)
from mimovl.types import Media, Sample

__all__ = ["DatasetWriter", "git_revision"]

_GROUP_ROWS = 1024
_GROUP_CHARACTERS = 8 << 20
"""A row group is closed at either size: it is the unit a random read decodes."""


class DatasetWriter:
    """Writes samples to a new dataset directory, which appears under its name only when ``close`` succeeds.

    As a context manager it closes on success and leaves nothing when an exception passes.

    Args:
        path: The directory to make.
        recipe_hash: Kept in the manifest, so that a reader can tell which recipe made the data.
        shard_bytes: Size at which a shard of media or records is closed and the next begun.

    Raises:
        UsageError: ``path`` exists and is not an empty folder.
    """

    def __init__(self, path: Path | str, *, recipe_hash: str = "", shard_bytes: int = 256 << 20) -> None:
        self.path = Path(path)
        self.notes: dict[str, Any] = {}
        """JSON values to keep in the manifest, e.g. how many boxes were clipped."""
        self._started = time.monotonic()
        self._directory = AtomicDirectory(path)
        self._folder = self._directory.temporary
        self._recipe_hash = recipe_hash
        self._shard_bytes = shard_bytes
        self._ids: set[str] = set()
        self._media: dict[str, tuple[Any, ...]] = {}
        self._tar: BinaryIO | None = None
        self._tar_number = -1
        self._counts: dict[str, Counter[str]] = {"source": Counter(), "task": Counter(), "language": Counter()}
        self._reasons: Counter[str] = Counter()
        self._records = _Table(self._folder, record_shard, RECORD_SCHEMA, shard_bytes)
        self._dropped = _Table(self._folder, lambda number: DROPPED_FILE, DROPPED_SCHEMA, 1 << 62)
        self._manifest: dict[str, Any] = {}
        self._closed = False

    def add(self, sample: Sample) -> None:
        """Keep a sample. Its pictures are written where they are new, known by their hash.

        Raises:
            DataError: The id is taken, a part names no media, a hash is wrong, or a value is no JSON. The writer
                is unchanged and can go on.
        """
        assert not self._closed, "the writer is closed"
        if sample.id in self._ids:
            raise DataError(f"{self.path}: two samples have the id {sample.id!r}; ids must differ")
        row = sample_to_row(sample)
        fresh = [media for key, media in sample.media.items() if self._is_new(sample.id, key, media)]
        for media in fresh:
            self._write_media(media)
        self._ids.add(sample.id)
        for name, counter in self._counts.items():
            counter[row[name]] += 1
        self._records.add(row, len(row["messages"]) + len(row["meta"]) + len(row["gold"] or ""))

    def drop(self, id: str, reason: str, detail: str = "") -> None:  # noqa: A002
        """Count and list what was left out; ``reason`` is a short stable word."""
        assert not self._closed, "the writer is closed"
        self._reasons[reason] += 1
        row = {"id": id, "reason": reason, "detail": detail}
        row = {name: text.encode(errors="replace").decode() for name, text in row.items()}
        self._dropped.add(row, len(detail))

    def close(self) -> dict[str, Any]:
        """Write the manifest, put everything on the disk and under its name; returns the manifest."""
        if self._closed:
            return self._manifest
        try:
            self._manifest = self._finish()
            self._directory.commit()
        except BaseException:
            self.abort()
            raise
        self._closed = True
        return self._manifest

    def abort(self) -> None:
        """Leave nothing behind. Does nothing after ``close``."""
        if not self._closed:
            self._closed = True
            if self._tar is not None:
                self._tar.close()
            self._directory.discard()

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _finish(self) -> dict[str, Any]:
        self._finish_tar()
        self._records.close()
        self._dropped.close()
        entries = [dict(zip(MEDIA_SCHEMA.names, entry, strict=True)) for entry in self._media.values()]
        index = pa.Table.from_pylist(entries, schema=MEDIA_SCHEMA)
        pq.write_table(index, self._folder / MEDIA_INDEX_FILE, compression="zstd", write_page_checksum=True)
        files = sorted(path for path in self._folder.rglob("*") if path.is_file() and path.name[0] != ".")
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "mimovl": __version__,
            "recipe_hash": self._recipe_hash,
            "git_revision": git_revision(),
            "counts": {
                "kept": len(self._ids),
                "dropped": dict(sorted(self._reasons.items())),
                **{f"by_{name}": dict(sorted(counter.items())) for name, counter in self._counts.items()},
                "media": len(self._media),
                "media_bytes": sum(entry["size"] for entry in entries),
            },
            "notes": self.notes,
            "record_shards": self._records.number + 1,
            "media_shards": self._tar_number + 1,
            "seconds": round(time.monotonic() - self._started, 3),
            "files": {str(path.relative_to(self._folder)): path.stat().st_size for path in files},
        }
        text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
        (self._folder / MANIFEST_FILE).write_text(text, encoding="utf-8")
        return manifest

    def _is_new(self, sample_id: str, key: str, media: Media) -> bool:
        stored = self._media.get(key)
        facts = (media.kind, media.width, media.height, media.num_frames, media.fps)
        if stored is not None:
            if (stored[1], *stored[5:]) != facts:
                raise DataError(
                    f"sample {sample_id!r}: {key[:16]} was stored as {(stored[1], *stored[5:])}, now {facts}"
                )
            return False
        if key != media.sha256 or hashlib.sha256(media.data).hexdigest() != key:
            raise DataError(
                f"sample {sample_id!r}: media {key[:16]!r} is not the SHA-256 of its {len(media.data)} bytes"
            )
        return True

    def _write_media(self, media: Media) -> None:
        if self._tar is None or self._tar.tell() >= self._shard_bytes:
            self._finish_tar()
            self._tar_number += 1
            self._tar = open(self._folder / media_shard(self._tar_number), "wb")  # noqa: SIM115
        self._tar.write(tar_header(media))
        offset = self._tar.tell()
        size = len(media.data)
        self._tar.write(media.data)
        self._tar.write(bytes(-size % 512))
        self._media[media.sha256] = (
            media.sha256, media.kind, self._tar_number, offset, size,
            media.width, media.height, media.num_frames, media.fps,
        )  # fmt: skip

    def _finish_tar(self) -> None:
        if self._tar is not None:
            self._tar.write(bytes(1024))
            self._tar.close()


class _Table:
    """Rows on their way to parquet files, a row group at a time."""

    def __init__(self, folder: Path, name: Any, schema: pa.Schema, shard_bytes: int) -> None:
        self.folder, self.name, self.schema, self.shard_bytes = folder, name, schema, shard_bytes
        self.number = -1
        self._rows: list[dict[str, Any]] = []
        self._characters = 0
        self._shard_characters = 0
        self._writer: pq.ParquetWriter | None = None

    def add(self, row: dict[str, Any], characters: int) -> None:
        self._rows.append(row)
        self._characters += characters
        if len(self._rows) >= _GROUP_ROWS or self._characters >= _GROUP_CHARACTERS:
            self._flush()

    def close(self) -> None:
        self._flush()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _flush(self) -> None:
        if not self._rows:
            return
        if self._writer is not None and self._shard_characters >= self.shard_bytes:
            self._writer.close()
            self._writer = None
        if self._writer is None:
            self.number += 1
            self._shard_characters = 0
            path = self.folder / self.name(self.number)
            path.parent.mkdir(exist_ok=True)
            self._writer = pq.ParquetWriter(path, self.schema, compression="zstd", write_page_checksum=True)
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self.schema))
        self._shard_characters += self._characters
        self._rows, self._characters = [], 0


def git_revision() -> str:
    """Revision of the checkout this code runs from; empty where it was installed without one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
