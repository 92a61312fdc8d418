"""Folders of plain parquet files, as other people write them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.data import small

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("messages", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("images", pa.list_(IMAGE)),
        ("source", pa.string()),
    ]
)


def row(number: int, *, name: str = "s", pictures: int | None = None, source: str | None = None) -> dict[str, Any]:
    """A conversation of some length about 0, 1 or 2 pictures."""
    count = number % 3 if pictures is None else pictures
    images = [small.encoded(small.noise(28 * (1 + number % 4), 56, number + place)) for place in range(count)]
    return {
        "id": f"{name}{number}",
        "messages": [
            {"role": "user", "content": "<image>" * count + "How many red circles? " * (1 + number % 5)},
            {"role": "assistant", "content": f"{number}"},
        ],
        "images": [{"bytes": data, "path": None} for data in images],
        "source": source,
    }


def write_file(
    path: Path, rows: Sequence[dict[str, Any]], *, group: int = 8, schema: pa.Schema | None = SCHEMA
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path, row_group_size=group)
    return path


def write_folder(path: Path, count: int, *, shards: int = 3, name: str = "s", group: int = 8) -> Path:
    """``count`` rows over some files."""
    rows = [row(number, name=name) for number in range(count)]
    for shard in range(shards):
        part = rows[shard * count // shards : (shard + 1) * count // shards]
        write_file(path / f"train-{shard:05d}-of-{shards:05d}.parquet", part, group=group)
    return path


def as_json(messages: Any) -> str:
    return json.dumps(messages, ensure_ascii=False)
