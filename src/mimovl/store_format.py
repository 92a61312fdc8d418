"""The files of a dataset directory: names, columns, and a Sample as a row.

records-00000.parquet   one row a sample: messages, gold and meta as JSON, the rest as plain columns
media-00000.tar         <sha256>.<extension> members, readable as a WebDataset; each picture once
media.parquet           where each picture is (shard, offset, size) and its sides
dropped/dropped.parquet id, reason and detail of what was left out
manifest.json           format, recipe hash, git revision, counts, seconds, and the size of every file above
"""

from __future__ import annotations

import json
import tarfile
from typing import Any

import pyarrow as pa

from mimovl.errors import DataError
from mimovl.media_check import check_media
from mimovl.types import Gold, Media, Message, Part, Sample

__all__ = [
    "DROPPED_FILE",
    "DROPPED_SCHEMA",
    "FORMAT",
    "MANIFEST_FILE",
    "MEDIA_INDEX_FILE",
    "MEDIA_SCHEMA",
    "RECORD_COLUMNS",
    "RECORD_SCHEMA",
    "VERSION",
    "media_shard",
    "record_shard",
    "row_to_sample",
    "sample_to_row",
    "tar_header",
]

FORMAT = "mimovl-dataset"
VERSION = 1
MANIFEST_FILE = "manifest.json"
MEDIA_INDEX_FILE = "media.parquet"
DROPPED_FILE = "dropped/dropped.parquet"

RECORD_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("task", pa.string()),
        ("source", pa.string()),
        ("language", pa.string()),
        ("media", pa.list_(pa.string())),
        ("messages", pa.string()),
        ("gold", pa.string()),
        ("meta", pa.string()),
    ]
)
RECORD_COLUMNS = ["id", "task", "source", "language", "media"]
"""What can be read without touching messages or media."""

MEDIA_SCHEMA = pa.schema(
    [
        ("sha256", pa.string()),
        ("kind", pa.string()),
        ("shard", pa.int32()),
        ("offset", pa.int64()),
        ("size", pa.int64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("num_frames", pa.int32()),
        ("fps", pa.float64()),
    ]
)
DROPPED_SCHEMA = pa.schema([("id", pa.string()), ("reason", pa.string()), ("detail", pa.string())])


def record_shard(number: int) -> str:
    """File name of a shard of records."""
    return f"records-{number:05d}.parquet"


def media_shard(number: int) -> str:
    """File name of a shard of media."""
    return f"media-{number:05d}.tar"


def sample_to_row(sample: Sample) -> dict[str, Any]:
    """A Sample as a row of ``RECORD_SCHEMA``. Tuples inside gold and meta come back as lists.

    Raises:
        DataError: A part names no media of the sample or media are in no part, a placeholder is written as text, or a
            value cannot be written as JSON; names sample and field.
    """
    if not sample.id:
        raise DataError("a sample without an id cannot be stored; give each a stable id")
    if not sample.messages:
        raise DataError(f"sample {sample.id!r} has no messages")
    messages = []
    for message in sample.messages:
        content: list[dict[str, str]] = []
        for part in message.content:
            if part.type == "text":
                content.append({"type": "text", "text": part.text})
                continue
            media = sample.media.get(part.media)
            if media is None or media.kind != part.type:
                found = f"is a {media.kind}" if media else f"is not among its {len(sample.media)} media"
                raise DataError(f"sample {sample.id!r}: {part.type} {part.media[:16]!r} {found}")
            content.append({"type": part.type, part.type: part.media})
        messages.append({"role": message.role, "content": content})
    check_media(sample)
    gold = sample.gold
    golden = None if gold is None else {"kind": gold.kind, "answer": gold.answer, "options": dict(gold.options)}
    row = {
        "id": sample.id,
        "task": sample.task,
        "source": sample.source,
        "language": sample.language,
        "media": list(sample.media),
        "messages": _to_json(messages, sample.id, "messages"),
        "gold": None if golden is None else _to_json(golden, sample.id, "gold"),
        "meta": _to_json(dict(sample.meta), sample.id, "meta"),
    }
    try:
        for text in row.values():
            if isinstance(text, str) and not text.isascii():
                text.encode()
    except UnicodeEncodeError:
        raise DataError(f"sample {sample.id!r} holds half a surrogate pair, which is no Unicode text") from None
    return row


def row_to_sample(row: dict[str, Any], media: dict[str, Media]) -> Sample:
    """The Sample that ``sample_to_row`` wrote."""
    gold = None if row["gold"] is None else json.loads(row["gold"])
    return Sample(
        id=row["id"],
        messages=tuple(
            Message(role=message["role"], content=tuple(_part(part) for part in message["content"]))
            for message in json.loads(row["messages"])
        ),
        media=media,
        task=row["task"],
        source=row["source"],
        language=row["language"],
        gold=None if gold is None else Gold(**gold),
        meta=json.loads(row["meta"]),
    )


def tar_header(media: Media) -> bytes:
    """The 512-byte header of a picture's member; nothing in it depends on time or user."""
    info = tarfile.TarInfo(f"{media.sha256}.{_extension(media.data)}")
    info.size = len(media.data)
    return info.tobuf(tarfile.USTAR_FORMAT)


def _part(part: dict[str, str]) -> Part:
    if part["type"] == "text":
        return Part("text", text=part["text"])
    return Part(part["type"], media=part[part["type"]])  # type: ignore[arg-type]


def _to_json(value: Any, sample_id: str, name: str) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"sample {sample_id!r}: {name} cannot be written as JSON: {error}") from None


_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG", "png"),
    (0, b"\xff\xd8\xff", "jpg"),
    (8, b"WEBP", "webp"),
    (0, b"GIF8", "gif"),
    (4, b"ftyp", "mp4"),
    (0, b"\x1aE\xdf\xa3", "mkv"),
    (0, b"BM", "bmp"),
    (0, b"II*\x00", "tif"),
    (0, b"MM\x00*", "tif"),
)
"""(position, bytes there, extension): WebDataset readers choose a decoder by the extension."""


def _extension(data: bytes) -> str:
    return next((name for at, magic, name in _MAGIC if data[at : at + len(magic)] == magic), "bin")
