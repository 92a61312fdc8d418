"""Parquet files of any origin as records, a row group at a time.

Columns are read by the names of ``rows``; a picture may be bytes, {bytes, path} as ``datasets`` writes it, or a path.
Reasons of drops, besides those of ``rows`` and ``media``: unreadable_file, unreadable_group.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from mimovl.curate.readers.files import files_of, short_name
from mimovl.curate.readers.row_reader import RowReader
from mimovl.curate.step import Dropped, Unit
from mimovl.types import Sample

__all__ = ["Parquet"]


class Parquet(RowReader):
    """Parquet files."""

    reader: Literal["parquet"] = "parquet"
    """Parquet files."""
    columns: tuple[str, ...] = ()
    """Read these alone; unset: all."""
    batch_rows: int = Field(default=64, ge=1)
    """Rows held at a time, while a row group is read."""

    def units(self) -> list[Unit]:
        """Row groups; a file that does not open is one unit, and a drop."""
        units = []
        for file in files_of(self.path, (".parquet",), "parquet files"):
            name = short_name(file, self.path)
            try:
                metadata = pq.read_metadata(file)
                rows = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
            except (OSError, pa.ArrowException) as error:
                units.append(Unit(f"{name}@", (str(file), -1, 0, str(error).splitlines()[0])))
                continue
            first = 0
            for group, count in enumerate(rows):
                units.append(Unit(f"{name}@{group:06d}", (str(file), group, first, ""), count))
                first += count
        return units

    def read(self, unit: Unit) -> Iterator[tuple[str, Sample | Dropped]]:
        """The rows of a group; each named by its number in the file."""
        path, group, first, problem = unit.where
        name = unit.name.rpartition("@")[0]
        if group < 0:
            yield name, Dropped("unreadable_file", f"{path}: {problem}")
            return
        number = first
        folder = Path(path).parent
        try:
            file = _opened(path)
            for batch in file.iter_batches(
                self.batch_rows, row_groups=[group], columns=self._columns(file.schema_arrow.names), use_threads=False
            ):
                for row in batch.to_pylist():
                    yield self.record(row, f"{name}#{number}", folder)
                    number += 1
        except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
            detail = (str(error).splitlines() or [""])[0]
            yield f"{name}#{number}", Dropped("unreadable_group", f"{path}, row group {group}: {detail}")

    def _columns(self, names: Sequence[str]) -> list[str] | None:
        return [name for name in names if name in self.columns] if self.columns else None


@lru_cache(maxsize=2)
def _opened(path: str) -> Any:
    return pq.ParquetFile(path, page_checksum_verification=True)
