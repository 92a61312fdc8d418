"""JSON lines as records, a stretch of a file at a time; ``.gz`` files whole.

Reasons of drops, besides those of ``rows`` and ``media``: bad_json, bad_encoding, long_line, unreadable_file.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from mimovl.curate.readers.files import files_of, short_name
from mimovl.curate.readers.row_reader import RowReader
from mimovl.curate.step import Dropped, Unit
from mimovl.types import Sample

__all__ = ["JsonLines", "parsed"]

_MAX_LINE = 256 << 20
"""A longer line is no record; its bytes are passed over, not held."""
_LINE = 1 << 10
"""A guess at a line's bytes, to put small stretches together."""


class JsonLines(RowReader):
    """Files of JSON, one table a line."""

    reader: Literal["jsonl"] = "jsonl"
    """JSON lines."""
    unit_bytes: int = Field(default=1 << 20, ge=1)
    """A worker reads so many bytes of a file at a time, and the line begun in them to its end."""

    def units(self) -> list[Unit]:
        """Stretches of the files; those packed by gzip are one each."""
        units = []
        for file in files_of(self.path, (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz"), "JSON lines"):
            size = file.stat().st_size
            step = size if file.suffix == ".gz" else self.unit_bytes
            name = short_name(file, self.path)
            for begin in range(0, size, max(step, 1)):
                length = min(step, size - begin)
                units.append(
                    Unit(f"{name}@{begin:012d}", (str(file), begin, begin + length, size), 1 + length // _LINE)
                )
        return units

    def read(self, unit: Unit) -> Iterator[tuple[str, Sample | Dropped]]:
        """The lines that begin in the stretch; each named by its place in the file."""
        path, begin, end, _ = unit.where
        name = unit.name.rpartition("@")[0]
        folder = Path(path).parent
        try:
            packed = path.endswith(".gz")
            with gzip.open(path, "rb") if packed else open(path, "rb") as file:
                if begin:
                    file.seek(begin - 1)
                    _pass_over(file)  # the line that began before
                while packed or file.tell() < end:
                    place = file.tell()
                    line = file.readline(_MAX_LINE)
                    if not line:
                        return
                    label = f"{name}@{place}"
                    if len(line) == _MAX_LINE and line[-1:] != b"\n":
                        _pass_over(file)
                        yield label, Dropped("long_line", f"{path}: a line of over {_MAX_LINE:,} bytes")
                    elif line.strip():
                        row = parsed(line)
                        yield (label, row) if isinstance(row, Dropped) else self.record(row, label, folder)
        except (OSError, EOFError, zlib.error) as error:
            yield unit.name, Dropped("unreadable_file", f"{path}: {error}")


def parsed(text: bytes) -> Any:
    """What a JSON text says, or ``Dropped``."""
    try:
        return json.loads(text.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Dropped("bad_encoding", f"not UTF-8 at byte {error.start}")
    except (ValueError, RecursionError) as error:
        return Dropped("bad_json", str(error))


def _pass_over(file: Any) -> None:
    while (some := file.readline(1 << 20)) and some[-1:] != b"\n":
        pass
