"""A part of a file as a file of its own: what reads a picture's header, or a film, where it lies within a tar shard."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

__all__ = ["open_range"]


def open_range(path: Path, offset: int, size: int) -> io.BufferedReader:
    """Open ``size`` bytes of a file from ``offset`` on, read a little at a time.

    Raises:
        OSError: the file cannot be opened.
    """
    return io.BufferedReader(_Range(path, offset, size), buffer_size=4096)


class _Range(io.RawIOBase):
    def __init__(self, path: Path, offset: int, size: int) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115
        self._offset = offset
        self._size = size
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: max(0, self._size - self._place)]
        self._file.seek(self._offset + self._place)
        count = self._file.readinto(view)
        self._place += count
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, start + offset)
        return self._place

    def tell(self) -> int:
        return self._place

    def close(self) -> None:
        self._file.close()
        super().close()
