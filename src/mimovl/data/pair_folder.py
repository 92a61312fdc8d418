"""Preferences on the disk: a folder of parquet files, one row a pair.

    messages          the conversation up to the user's last turn, as in ``data/parquet_folder``
    images, videos    what it shows, in order: bytes, or {bytes, path}
    chosen, rejected  two answers; in a tie the first and the second
    tie               true where neither is better; may be absent
    id, task, source, language, meta (JSON text)   as in a Sample; may be absent

``meta.scene``, where there is one, names what was drawn independently; intervals know by it which pairs are not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mimovl.data.parquet_folder import ParquetFolder
from mimovl.data.parquet_row import COLUMNS, row_to_sample
from mimovl.data.preference import Preference
from mimovl.errors import DataError
from mimovl.media_check import check_media
from mimovl.types import Sample

__all__ = ["PAIR_SCHEMA", "PairFolder", "write_pairs"]

_MEDIA = pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
PAIR_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("messages", pa.string()),
        ("images", _MEDIA),
        ("videos", _MEDIA),
        ("chosen", pa.string()),
        ("rejected", pa.string()),
        ("tie", pa.bool_()),
        ("task", pa.string()),
        ("source", pa.string()),
        ("language", pa.string()),
        ("meta", pa.string()),
    ]
)
"""What :func:`write_pairs` writes; readers take any order and more columns."""

_PAIR_COLUMNS = ("chosen", "rejected", "tie")
_ROW_GROUP = 64
_FILE_ROWS = 4096


class PairFolder(Sequence[Preference]):
    """The preferences of a folder's parquet files, in order of their names.

    Args:
        path: the folder.
        ties: False leaves ties out.

    Raises:
        UsageError: there is no such folder.
        DataError: it holds no parquet file, or one that cannot be read or lacks a column; names it.
    """

    def __init__(self, path: Path | str, *, ties: bool = True) -> None:
        self._folder = ParquetFolder(path, columns=(*COLUMNS, *_PAIR_COLUMNS))
        self.path = self._folder.path
        for column in ("chosen", "rejected"):
            if file := self._folder.lacking(column):
                raise DataError(
                    f"{file} has no column {column}; a pair needs messages, chosen and rejected "
                    "(see mimovl.data.pair_folder)"
                )
        tied = self._folder.column("tie", False)
        self._rows = [row for row, tie in enumerate(tied) if ties or not tie]
        self.num_ties = sum(bool(tie) for tie in tied)
        """Ties in the folder, left out or not."""

    def __len__(self) -> int:
        return len(self._rows)

    @cached_property
    def sources(self) -> list[str]:
        """Source of each pair, without reading media."""
        named = self._folder.column("source", "")
        return [str(named[row] or "") for row in self._rows]

    def __getitem__(self, index: int) -> Preference:  # type: ignore[override]
        """A pair with its pictures.

        Raises:
            DataError: its row cannot be read, an answer is no text, or the pictures are not those its messages show;
                names the file or the pair.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"{self.path} has {len(self)} pairs, asked for number {index}")
        row, where = self._folder.row(self._rows[index])
        name = str(row.get("id") or where)
        for column in ("chosen", "rejected"):
            if not isinstance(row[column], str):
                raise DataError(f"pair {name}: {column} is {type(row[column]).__name__}; it must be the answer's text")
        sample = row_to_sample(row, where=where, folder=self.path)
        if not sample.messages or sample.messages[-1].role != "user":
            raise DataError(f"pair {name}: messages must end with the user's turn; its answers are chosen and rejected")
        return _preference(sample, row["chosen"], row["rejected"], bool(row.get("tie")))


def write_pairs(folder: Path, pairs: Iterable[Preference]) -> int:
    """Write preferences as parquet files of an existing folder; returns how many.

    Raises:
        DataError: a pair's pictures and messages do not match; names it.
    """
    rows: list[dict[str, Any]] = []
    count = 0
    for pair in pairs:
        rows.append(_row(pair))
        count += 1
        if len(rows) == _FILE_ROWS:
            _write(folder, count - len(rows), rows)
            rows = []
    if rows or not count:
        _write(folder, count - len(rows), rows)
    return count


def _write(folder: Path, first: int, rows: Sequence[Mapping[str, Any]]) -> None:
    table = pa.Table.from_pylist(list(rows), schema=PAIR_SCHEMA)
    pq.write_table(
        table,
        folder / f"pairs-{first // _FILE_ROWS:05d}.parquet",
        row_group_size=_ROW_GROUP,
        compression="zstd",
        write_page_checksum=True,
    )


def _row(pair: Preference) -> dict[str, Any]:
    check_media(pair)
    shown: dict[str, list[dict[str, Any]]] = {"image": [], "video": []}
    messages = []
    for message in pair.messages:
        content = []
        for part in message.content:
            if part.type == "text":
                content.append({"type": "text", "text": part.text})
                continue
            if part.media not in pair.media:
                raise DataError(f"pair {pair.id}: {part.type} {part.media[:16]!r} is named but not among its media")
            content.append({"type": part.type})
            shown[part.type].append({"bytes": pair.media[part.media].data, "path": None})
        messages.append({"role": message.role, "content": content})
    return {
        "id": pair.id,
        "messages": json.dumps(messages, ensure_ascii=False),
        "images": shown["image"],
        "videos": shown["video"],
        "chosen": pair.chosen,
        "rejected": pair.rejected,
        "tie": pair.tie,
        "task": pair.task,
        "source": pair.source,
        "language": pair.language,
        "meta": json.dumps(dict(pair.meta), ensure_ascii=False),
    }


def _preference(sample: Sample, chosen: str, rejected: str, tie: bool) -> Preference:
    values = {one.name: getattr(sample, one.name) for one in fields(Sample)}
    return Preference(**values, chosen=chosen, rejected=rejected, tie=tie)
