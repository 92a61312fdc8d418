"""One row of somebody's parquet file as a Sample; the columns are described in ``data/parquet_folder``."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from mimovl.data.clip_header import clip_header
from mimovl.data.image import image_size
from mimovl.errors import DataError
from mimovl.types import Media, MediaKind, Message, Part, Role, Sample

__all__ = ["COLUMNS", "row_to_sample"]

COLUMNS = ("id", "messages", "images", "image", "videos", "video", "task", "source", "language", "meta")
_PLACE = re.compile(r"<(image|video)>")
_KINDS: tuple[MediaKind, ...] = ("image", "video")


def row_to_sample(row: Mapping[str, Any], *, where: str, folder: Path) -> Sample:
    """A Sample.

    Args:
        row: values by column.
        where: file and row; the sample's id where it has none.
        folder: what paths of pictures are relative to.

    Raises:
        DataError: a column is of another kind, or the text has a number of placeholders that is not the number of
            pictures; names the sample and both numbers.
        MediaError: a picture's header cannot be read.
    """
    given = row.get("id")
    name = where if given is None or given == "" else str(given)
    held = {kind: _media(row, kind, name, folder) for kind in _KINDS}
    waiting = {kind: iter(media) for kind, media in held.items()}
    shown = dict.fromkeys(_KINDS, 0)

    def part(kind: MediaKind) -> Part:
        shown[kind] += 1
        found = next(waiting[kind], None)
        return Part(kind, media=found.sha256 if found else "")

    messages = []
    for message in _messages(row.get("messages"), name):
        pieces = _pieces(message, name)
        content = tuple(part(piece) if piece in _KINDS else Part("text", text=text) for piece, text in pieces)
        messages.append(Message(message["role"], content))
    for kind in _KINDS:
        if shown[kind] != len(held[kind]):
            raise DataError(
                f"sample {name}: its text holds {shown[kind]} {kind} placeholders, its column {kind}s "
                f"{len(held[kind])}; each needs exactly one <{kind}> (or part of type {kind})"
            )
    return Sample(
        id=name,
        messages=tuple(messages),
        media={media.sha256: media for kind in _KINDS for media in held[kind]},
        task=str(row.get("task") or ""),
        source=str(row.get("source") or ""),
        language=str(row.get("language") or "en"),
        meta=_table(row.get("meta"), name),
    )


def _messages(value: Any, name: str) -> list[dict[str, Any]]:
    """The turns as tables with a known role and a content."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise DataError(f"sample {name}: its messages are not JSON ({error})") from None
    if not isinstance(value, list) or not value:
        raise DataError(f"sample {name}: messages must be a list of turns, it is {type(value).__name__}")
    for turn in value:
        if not isinstance(turn, dict) or turn.get("role") not in get_args(Role) or "content" not in turn:
            roles = ", ".join(get_args(Role))
            raise DataError(f"sample {name}: a message needs a role ({roles}) and a content, one is {turn!r:.80}")
    return value


def _pieces(message: Mapping[str, Any], name: str) -> Iterator[tuple[Any, str]]:
    """What a message is made of, in order: ("text", words), or the kind of what is shown there."""
    text = message["content"]
    if isinstance(text, list):
        yield from (_piece(part, name) for part in text)
        return
    if not isinstance(text, str):
        raise DataError(
            f"sample {name}: the content of a message is {type(text).__name__}; give text, or a list of parts "
            "(what a turn says beside its content, as tool_calls, is not read: write it into the content)"
        )
    place = 0
    for found in _PLACE.finditer(text):
        if found.start() > place:
            yield "text", text[place : found.start()]
        yield found[1], ""
        place = found.end()
    if place < len(text) or not text:
        yield "text", text[place:]


def _piece(part: Any, name: str) -> tuple[Any, str]:
    """A part of a message."""
    if isinstance(part, str):
        return "text", part
    if isinstance(part, dict):
        kind = str(part.get("type", "text")).removesuffix("_url")
        if kind in _KINDS:
            return kind, ""
        if kind == "text" and isinstance(text := part.get("text"), str):
            return kind, text
    raise DataError(
        f"sample {name}: a part of a message is {part!r:.80}; give text, "
        '{"type": "text", "text": …}, {"type": "image"} or {"type": "video"}'
    )


def _media(row: Mapping[str, Any], kind: MediaKind, name: str, folder: Path) -> list[Media]:
    """The pictures or clips of a row, in order."""
    values = row.get(f"{kind}s")
    if values is None:
        values = [] if row.get(kind) is None else [row[kind]]
    if not isinstance(values, list | tuple):
        raise DataError(f"sample {name}: its column {kind}s is {type(values).__name__}; give a list of {kind}s")
    found = []
    for number, value in enumerate(values):
        label = f"sample {name}, {kind} {number}"
        data = _bytes(value, label, folder)
        digest = hashlib.sha256(data).hexdigest()
        if kind == "image":
            height, width = image_size(data, name=label)
            found.append(Media(digest, kind, data, width, height))
        else:
            header = clip_header(data, name=label)
            rate = header.num_frames / header.duration
            found.append(Media(digest, kind, data, header.width, header.height, header.num_frames, rate))
    return found


def _bytes(value: Any, label: str, folder: Path) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, dict) and isinstance(value.get("bytes"), bytes):
        return bytes(value["bytes"])
    path = value.get("path") if isinstance(value, dict) else value
    if not isinstance(path, str):
        raise DataError(f"{label}: is {type(value).__name__}; give bytes, or a table with bytes or path")
    file = (folder / path).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise DataError(f"{label}: {path} lies outside {folder}; only files of the folder are read")
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"{label}: {file} cannot be read ({error.strerror}); put it there or embed its bytes") from None


def _table(value: Any, name: str) -> dict[str, Any]:
    if value is None or value == "":
        return {}
    try:
        table = value if isinstance(value, dict) else json.loads(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"sample {name}: its meta is not JSON ({error})") from None
    if not isinstance(table, dict):
        raise DataError(f"sample {name}: its meta must be a table, it is {type(table).__name__}")
    return table
