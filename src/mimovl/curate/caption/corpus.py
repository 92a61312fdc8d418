"""Texts of a corpus file, one after the other: lines, JSON lines or a parquet column, compressed or not."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from mimovl.errors import DataError, UsageError

__all__ = ["read_texts"]

_COLUMNS = ("text", "caption", "content", "title", "TEXT")


def read_texts(path: Path, column: str = "") -> Iterator[str]:
    """All texts of a file, streamed.

    Args:
        path: ``.txt`` (a text a line), ``.jsonl`` or ``.parquet``, the first two also with ``.gz``.
        column: field or column to read; without it the first that is there of text, caption, content, title.

    Raises:
        UsageError: there is no such file, or it is of another kind.
        DataError: it is no UTF-8, no JSON, or has no such column; names the line.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such corpus file; give .txt, .jsonl or .parquet")
    kind = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    if kind == ".parquet":
        yield from _parquet(path, column)
    elif kind in (".txt", ".jsonl"):
        for number, line in enumerate(_lines(path), start=1):
            if line := line.strip():
                yield line if kind == ".txt" else _field(path, number, line, column)
    else:
        raise UsageError(f"{path}: a corpus is .txt, .jsonl (also .gz) or .parquet, not {kind or 'without an ending'}")


def _lines(path: Path) -> Iterator[str]:
    opened = gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")
    try:
        with opened as file:
            yield from file
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error.reason} at byte {error.start}); convert it") from None
    except (EOFError, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is no whole gzip file ({error}); fetch it again") from None


def _field(path: Path, number: int, line: str, column: str) -> str:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise DataError(f"{path} line {number} is no JSON ({error}); mend or remove it") from None
    names = (column,) if column else _COLUMNS
    if isinstance(record, dict):
        for name in names:
            if isinstance(record.get(name), str):
                return str(record[name])
    raise DataError(f"{path} line {number} has no text under {' or '.join(names)}; name its field with --column")


def _parquet(path: Path, column: str) -> Iterator[str]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
    except pyarrow.ArrowInvalid as error:
        raise DataError(f"{path} is no parquet file ({str(error)[:200]})") from None
    with file:
        here = file.schema_arrow.names
        name = next((name for name in ((column,) if column else _COLUMNS) if name in here), "")
        if not name:
            raise DataError(
                f"{path} has the columns {', '.join(here)}, not {column or ' or '.join(_COLUMNS)}; use --column"
            )
        for batch in file.iter_batches(columns=[name]):
            yield from (text for text in batch.column(0).to_pylist() if isinstance(text, str))
