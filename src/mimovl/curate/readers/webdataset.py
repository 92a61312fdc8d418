"""WebDataset tars as records: members of one name, by their endings the fields of a table.

``000123.jpg``, ``000123.txt`` and ``000123.json`` are one record: the picture, its caption, and a table whose keys are
fields too. Reasons of drops, besides those of ``rows`` and ``media``: truncated_tar, unreadable_file, bad_json,
bad_encoding.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from mimovl.curate.readers.files import files_of, short_name
from mimovl.curate.readers.json_lines import parsed
from mimovl.curate.readers.row_reader import RowReader
from mimovl.curate.step import Dropped, Unit
from mimovl.types import Sample

__all__ = ["WebDataset"]

_PICTURES = {"jpg", "jpeg", "png", "webp", "gif", "tif", "tiff", "bmp", "avif", "jp2"}
_TEXTS = {"txt", "caption", "text"}
_MEMBER = 1 << 16
"""A guess at a record's bytes, to put small tars together."""


class WebDataset(RowReader):
    """Tar files."""

    reader: Literal["webdataset"] = "webdataset"
    """WebDataset tars."""

    def units(self) -> list[Unit]:
        """One a tar."""
        units = []
        for file in files_of(self.path, (".tar", ".tar.gz", ".tgz"), "tar files"):
            size = file.stat().st_size
            units.append(Unit(short_name(file, self.path), (str(file), size), 1 + size // _MEMBER))
        return units

    def read(self, unit: Unit) -> Iterator[tuple[str, Sample | Dropped]]:
        """The records of a tar; each named by its members' common name."""
        path, _ = unit.where
        fields: dict[str, Any] = {}
        name = ""
        count = 0
        try:
            with tarfile.open(path, "r|*") as tar:
                for member in tar:
                    if not member.isfile():
                        continue
                    stem, ending = _split(member.name)
                    if stem != name and fields:
                        yield self._row(unit.name, name, fields, path)
                        count += 1
                        fields = {}
                    name = stem
                    if member.size > self.max_bytes:
                        fields[ending] = Dropped("too_large", f"{member.name}: {member.size:,} bytes")
                    elif (file := tar.extractfile(member)) is not None:
                        fields[ending] = file.read()
                        if len(fields[ending]) < member.size:
                            raise tarfile.ReadError("unexpected end of data")
            if fields:
                yield self._row(unit.name, name, fields, path)
            elif not count:
                yield unit.name, Dropped("unreadable_file", f"{path}: no file in it")
        except (tarfile.TarError, EOFError, zlib.error) as error:
            reason = "truncated_tar" if fields or count else "unreadable_file"
            yield f"{unit.name}/{name}", Dropped(reason, f"{path}: {error}")
        except (OSError, ValueError, OverflowError) as error:
            yield f"{unit.name}/{name}", Dropped("unreadable_file", f"{path}: {error}")

    def _row(self, tar: str, name: str, fields: dict[str, Any], path: str) -> tuple[str, Sample | Dropped]:
        label = f"{tar}/{name}"
        row: dict[str, Any] = {}
        for ending, data in fields.items():
            if isinstance(data, Dropped):
                return label, data
            if ending == "json":
                table = parsed(data)
                if isinstance(table, Dropped):
                    return label, table
                row |= table if isinstance(table, dict) else {}
        for ending, data in fields.items():
            last = ending.rpartition(".")[2]
            if last in _PICTURES:
                row.setdefault("images", [])
                row["images"] = [*(row["images"] if isinstance(row["images"], list) else []), data]
            elif last in _TEXTS:
                try:
                    row["caption"] = data.decode("utf-8-sig").strip()
                except UnicodeDecodeError as error:
                    return label, Dropped("bad_encoding", f"{name}.{ending}: not UTF-8 at byte {error.start}")
        row.setdefault("id", label)
        return self.record(row, label, Path(path).parent)


def _split(name: str) -> tuple[str, str]:
    """A member's name up to the first dot of its last part, and the ending behind it, lower case."""
    folder, slash, last = name.rpartition("/")
    stem, _, ending = last.partition(".")
    return f"{folder}{slash}{stem}", ending.lower()
