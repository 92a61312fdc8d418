"""A folder of plain parquet files as samples: what other people's data sets look like.

    messages   a list of {role, content}, or the same as JSON text. Content is text in which <image> and <video> stand
               where a picture or clip goes, or a list of parts ({"type": "text", "text": …}, {"type": "image"}, …)
    images     pictures in the order they are shown: bytes, or {bytes, path} as ``datasets`` writes them
    videos     clips likewise
    id, task, source, language, meta (a table, or JSON text): as in a Sample; all may be absent

A column ``image`` or ``video`` holds one. A sample is read by number; its whole row group is decoded and kept for its
neighbours, up to a bound.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mimovl.data.parquet_row import COLUMNS, row_to_sample
from mimovl.errors import DataError, UsageError
from mimovl.types import Sample

__all__ = ["ParquetFolder"]

CACHE_BYTES = 512 << 20
"""Decoded row groups kept in memory."""


class ParquetFolder:
    """Samples of a folder's parquet files, in order of their names.

    Args:
        path: the folder; files in folders below it count too.
        skip_damaged: go on without files that cannot be opened, which are listed in ``damaged``.
        columns: those that are read, where a file has them.

    Raises:
        UsageError: there is no such folder.
        DataError: it holds no parquet file, one cannot be opened, or one has no messages; names it.
    """

    def __init__(self, path: Path | str, *, skip_damaged: bool = False, columns: Sequence[str] = COLUMNS) -> None:
        self.path = Path(path)
        self.columns = tuple(columns)
        self.damaged: dict[str, str] = {}
        """Files left out, each with what is wrong."""
        if not self.path.is_dir():
            raise UsageError(f"{self.path}: no such folder")
        names = sorted(
            file.relative_to(self.path).as_posix()
            for file in self.path.rglob("*.parquet")
            if "lengths" not in file.relative_to(self.path).parts[:-1] and not file.name.startswith(".")
        )
        if not names:
            raise DataError(f"{self.path} holds no parquet file; give a folder of them, or one made by mimovl")
        self.starts = [0]
        """Number of the first sample of each row group, and of all samples."""
        self.sizes: list[int] = []
        """Bytes of each row group, decompressed."""
        self._groups: list[tuple[str, int, int]] = []  # file, row group, first row within the file
        for name in names:
            self._open(name, skip_damaged)
        self._cache: OrderedDict[int, pa.Table] = OrderedDict()
        self._cached = 0

    def _open(self, name: str, skip_damaged: bool) -> None:
        try:
            metadata = pq.read_metadata(self.path / name)
            columns = metadata.schema.to_arrow_schema().names
        except _DAMAGE as error:
            self.damaged[name] = f"{self.path / name} cannot be read ({_first_line(error)})"
            if not skip_damaged:
                raise DataError(f"{self.damaged[name]}; {_CURE}") from None
            return
        if "messages" not in columns:
            raise DataError(
                f"{self.path / name} has no column messages, only {', '.join(columns)}; "
                "see mimovl.data.parquet_folder for the columns read"
            )
        first = 0
        for group in range(metadata.num_row_groups):
            facts = metadata.row_group(group)
            self._groups.append((name, group, first))
            self.starts.append(self.starts[-1] + facts.num_rows)
            self.sizes.append(facts.total_byte_size)
            first += facts.num_rows

    def __len__(self) -> int:
        return self.starts[-1]

    @property
    def fingerprint(self) -> str:
        """Tells these files from others: names, rows and sizes."""
        facts = [self._groups, self.starts, self.sizes]
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    def __getitem__(self, index: int) -> Sample:
        """A sample with its pictures.

        Raises:
            DataError: its row cannot be read, or its placeholders are not its pictures; names the file or the sample.
        """
        row, where = self.row(index)
        return row_to_sample(row, where=where, folder=self.path)

    def row(self, index: int) -> tuple[dict[str, Any], str]:
        """The values of a row by column, and its file and number."""
        if not 0 <= index < len(self):
            raise IndexError(f"{self.path} has {len(self)} samples, asked for number {index}")
        number = bisect_right(self.starts, index) - 1
        name, group, first = self._groups[number]
        place = index - self.starts[number]
        table = self._group(number)
        with self._reading(name, group):
            row: dict[str, Any] = table.slice(place, 1).to_pylist()[0]
        return row, f"{name}#{first + place}"

    def column(self, name: str, default: Any) -> list[Any]:
        """One column of all rows, without reading the others; ``default`` for the rows of files that lack it."""
        values: list[Any] = []
        for number, (file, group, _) in enumerate(self._groups):
            with self._opened(file, group) as opened:
                if name in opened.schema_arrow.names:
                    values += opened.read_row_group(group, columns=[name], use_threads=False)[name].to_pylist()
                else:
                    values += [default] * (self.starts[number + 1] - self.starts[number])
        return values

    def lacking(self, column: str) -> Path | None:
        """The first file without a column; None if all have it."""
        for file in dict.fromkeys(file for file, _, _ in self._groups):
            with self._opened(file, 0) as opened:
                if column not in opened.schema_arrow.names:
                    return self.path / file
        return None

    def _group(self, number: int) -> pa.Table:
        if number in self._cache:
            self._cache.move_to_end(number)
            return self._cache[number]
        name, group, _ = self._groups[number]
        with self._opened(name, group) as file:
            columns = [column for column in file.schema_arrow.names if column in self.columns]
            table = file.read_row_group(group, columns=columns, use_threads=False)
        self._cached += table.nbytes
        while self._cache and self._cached > CACHE_BYTES:
            self._cached -= self._cache.popitem(last=False)[1].nbytes
        self._cache[number] = table
        return table

    @contextmanager
    def _opened(self, name: str, group: int) -> Iterator[pq.ParquetFile]:
        path = self.path / name
        with self._reading(name, group), pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield file

    @contextmanager
    def _reading(self, name: str, group: int) -> Iterator[None]:
        """What damage raises becomes a ``DataError`` that names the file."""
        try:
            yield
        except _DAMAGE as error:
            path = self.path / name
            raise DataError(f"{path}, row group {group} cannot be read ({_first_line(error)}); {_CURE}") from None

    def __getstate__(self) -> dict[str, Any]:
        """Without what was read: a copy in another process reads for itself."""
        return {**self.__dict__, "_cache": OrderedDict(), "_cached": 0}


_DAMAGE = (OSError, pa.ArrowException, UnicodeDecodeError)
"""The last where a file without checksums holds text that is none."""
_CURE = (
    "the file is damaged: write or fetch it again, or have damaged samples dropped "
    "(loading.damaged: drop) to go on without it"
)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
