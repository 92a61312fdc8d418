"""Files of documents in a folder: found by their suffix, read whole within a limit, unpacked where they are gzipped."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from mimovl.curate.step import Dropped, Unit
from mimovl.errors import DataError

__all__ = ["blocks_of_file", "document_units", "read_document"]

_BLOCK = 1 << 20


def document_units(path: str, suffixes: Sequence[str]) -> list[Unit]:
    """One unit a file, by name; a hidden file is litter.

    Args:
        path: a folder, looked through to its depth, or one file.
        suffixes: in lower case, ``.pdf``; the same with ``.gz`` behind it is taken too.

    Raises:
        DataError: nothing there has such a suffix.
    """
    root = Path(path)
    endings = tuple(suffixes) + tuple(f"{suffix}.gz" for suffix in suffixes)
    if root.is_file():
        return [Unit(root.name, str(root))]
    if not root.is_dir():
        raise DataError(f"{path}: no such file or folder; give the folder that holds the documents")
    found = []
    for file in root.rglob("*"):
        name = file.relative_to(root)
        if file.name.lower().endswith(endings) and not any(part.startswith(".") for part in name.parts):
            if file.is_file():
                found.append(Unit(name.as_posix(), str(file)))
    if not found:
        raise DataError(f"{path} holds no file that ends in {' or '.join(suffixes)} (or the same with .gz)")
    return sorted(found, key=lambda unit: unit.name)


def read_document(path: str, max_bytes: int) -> bytes | Dropped:
    """A file's bytes, unpacked; or why not: unreadable_file, empty_file, too_large, damaged_gzip."""
    data = bytearray()
    try:
        for block in blocks_of_file(path):
            data += block
            if len(data) > max_bytes:
                return Dropped("too_large", f"{path} is larger than {max_bytes} bytes")
    except OSError as error:
        if path.lower().endswith(".gz") and not error.errno:
            return Dropped("damaged_gzip", f"{path}: {error}")
        return Dropped("unreadable_file", f"{path}: {error.strerror or error}")
    except (EOFError, zlib.error) as error:
        return Dropped("damaged_gzip", f"{path}: {error}")
    return bytes(data) if data else Dropped("empty_file", f"{path} has no bytes")


def blocks_of_file(path: str) -> Iterator[bytes]:
    """A file's bytes a megabyte at a time, unpacked; never more than that at once."""
    with gzip.open(path, "rb") if path.lower().endswith(".gz") else open(path, "rb") as file:
        while block := file.read(_BLOCK):
            yield block
