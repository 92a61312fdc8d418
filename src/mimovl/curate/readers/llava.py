"""LLaVA and ShareGPT files: one JSON list of conversations, cut into stretches once, each read by itself.

Cutting finds where the list's items begin and end and holds one at a time; what follows a break in the JSON is one
drop. Reasons, besides those of ``rows`` and ``media``: bad_json, bad_encoding, unreadable_file.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from mimovl.curate.readers.files import files_of, short_name
from mimovl.curate.readers.json_lines import parsed
from mimovl.curate.readers.row_reader import RowReader
from mimovl.curate.step import Dropped, Unit
from mimovl.types import Sample

__all__ = ["Llava", "item_spans"]

_SPACE = b" \t\r\n"


class Llava(RowReader):
    """Files of one JSON list."""

    reader: Literal["llava"] = "llava"
    """LLaVA or ShareGPT JSON."""
    unit_items: int = Field(default=256, ge=1)
    """Conversations that a worker reads at a time."""

    def units(self) -> list[Unit]:
        """Stretches of so many items."""
        units = []
        for file in files_of(self.path, (".json",), "LLaVA or ShareGPT JSON"):
            name = short_name(file, self.path)
            group: list[tuple[int, int]] = []
            first = 0
            for span in item_spans(file):
                group.append(span)
                if len(group) == self.unit_items or span[1] < 0:
                    units.append(Unit(f"{name}#{first:09d}", (str(file), first, tuple(group)), len(group)))
                    first += len(group)
                    group = []
            if group:
                units.append(Unit(f"{name}#{first:09d}", (str(file), first, tuple(group)), len(group)))
        return units

    def read(self, unit: Unit) -> Iterator[tuple[str, Sample | Dropped]]:
        """The items of a stretch; each named by its number in the file."""
        path, first, spans = unit.where
        name = unit.name.rpartition("#")[0]
        try:
            with open(path, "rb") as file:
                for number, (begin, end) in enumerate(spans, first):
                    label = f"{name}#{number}"
                    if end < 0:
                        yield label, Dropped("bad_json", f"{path}: no list of JSON tables from byte {begin} on")
                        continue
                    file.seek(begin)
                    row = parsed(file.read(end - begin))
                    yield (label, row) if isinstance(row, Dropped) else self.record(row, label, Path(path).parent)
        except OSError as error:
            yield unit.name, Dropped("unreadable_file", f"{path}: {error}")


def item_spans(path: Path) -> Iterator[tuple[int, int]]:
    """First byte and the byte after the last of each item of a JSON list; (place, −1) where it breaks off."""
    try:
        size = path.stat().st_size
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            place = _skip(data, 3 if data[:3] == b"\xef\xbb\xbf" else 0, size)
            if data[place : place + 1] != b"[":
                yield place, -1
                return
            place = _skip(data, place + 1, size)
            while place < size and data[place : place + 1] != b"]":
                end = _item_end(data, place, size)
                if end < 0:
                    yield place, -1
                    return
                yield place, end
                place = _skip(data, end, size)
                if data[place : place + 1] == b",":
                    place = _skip(data, place + 1, size)
                elif data[place : place + 1] != b"]":
                    yield place, -1
                    return
            if place >= size:
                yield place, -1
    except (OSError, ValueError):  # an empty file cannot be mapped
        yield 0, -1


def _skip(data: Any, place: int, size: int) -> int:
    while place < size and data[place] in _SPACE:
        place += 1
    return place


def _item_end(data: Any, begin: int, size: int) -> int:
    """Where the item that begins here ends, found by reading ever longer stretches; −1 if nowhere."""
    window = 1 << 14
    decoder = json.JSONDecoder()
    while True:
        stretch = bytes(data[begin : begin + window])
        text = stretch.decode("utf-8", errors="surrogateescape")
        try:
            _, end = decoder.raw_decode(text)
            if end < len(text) or begin + window >= size:
                return begin + len(text[:end].encode("utf-8", errors="surrogateescape"))
        except (ValueError, RecursionError):
            pass
        if begin + window >= size:
            return -1
        window *= 4
