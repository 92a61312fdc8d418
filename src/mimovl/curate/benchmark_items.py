"""What a training set is checked against: items of a benchmark as pictures and texts, from whatever holds them.

read_items("runs/tiny/data/heldout")    a dataset folder
read_items("benchmarks/mmmu-images")    a folder of pictures, searched through
read_items("questions.jsonl")           JSON lines with "question" or "text", and "id"; or a .txt, a question a line
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mimovl.errors import DataError, UsageError
from mimovl.store import Dataset
from mimovl.store_format import MANIFEST_FILE
from mimovl.types import Sample

__all__ = ["BenchmarkItem", "items_of", "read_items"]

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".avif", ".jp2", ".ppm"}


@dataclass(frozen=True)
class BenchmarkItem:
    """One question of a benchmark, or one of its pictures."""

    benchmark: str
    id: str
    pictures: tuple[bytes, ...] = ()
    texts: tuple[str, ...] = ()


def read_items(path: Path | str) -> Iterator[BenchmarkItem]:
    """The items of a folder or file.

    Raises:
        UsageError: there is nothing there, or no picture in the folder.
        DataError: the dataset or a line of the file cannot be read.
    """
    path = Path(path)
    if path.is_file():
        yield from _read_lines(path)
    elif not path.is_dir():
        raise UsageError(f"{path}: no such folder or file to check against")
    elif (path / MANIFEST_FILE).is_file():
        yield from items_of(Dataset.open(path), str(path))
    else:
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
        if not files:
            raise UsageError(f"{path} holds no dataset and no picture ({', '.join(sorted(SUFFIXES))})")
        for file in files:
            yield BenchmarkItem(str(path), str(file.relative_to(path)), (file.read_bytes(),))


def items_of(samples: Iterable[Sample], benchmark: str) -> Iterator[BenchmarkItem]:
    """Samples as items: their media, and what the user says in them."""
    for sample in samples:
        texts = tuple(message.text for message in sample.messages if message.role == "user")
        yield BenchmarkItem(benchmark, sample.id, tuple(media.data for media in sample.media.values()), texts)


def _read_lines(path: Path) -> Iterator[BenchmarkItem]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text ({error})") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if path.suffix.lower() not in (".jsonl", ".json"):
            yield BenchmarkItem(str(path), f"line {number}", texts=(line,))
            continue
        try:
            row = json.loads(line)
            text = row["question"] if "question" in row else row["text"]
            if not isinstance(text, str):
                raise TypeError("the text is no string")
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(f'{path}:{number}: no JSON object with "question" or "text" ({error})') from None
        yield BenchmarkItem(str(path), str(row.get("id", f"line {number}")), texts=(text,))
