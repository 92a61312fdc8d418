"""Handing tensors from one process to another without copying them through a pipe.

The sender lays the arrays of an object end to end in anonymous memory and passes its descriptor over the socket; the
receiver maps the same pages. Nothing has a name, so nothing is left behind however either side ends, and the size of
/dev/shm is no limit. Where a system has no anonymous memory files, an unlinked temporary file does the same.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from typing import Any

import numpy as np

__all__ = ["Joined", "receive", "send"]

_ALIGNMENT = 64


@dataclass(frozen=True)
class Joined:
    """Arrays of one kind that arrive as one, laid end to end on the way: the sender never joins them itself."""

    parts: Sequence[np.ndarray]
    """Equal but for the length of the first axis; at least one."""


def send(connection: Connection, value: Any, receiver: int) -> None:
    """Send a value whose numpy arrays travel as shared memory.

    Args:
        connection: a pipe between two processes of one machine.
        value: anything that can be pickled; ``Joined`` arrays within it arrive as one.
        receiver: process id of the other end.
    """
    buffers: list[pickle.PickleBuffer] = []
    written = io.BytesIO()
    pickler = _Pickler(written, protocol=5, buffer_callback=buffers.append)
    pickler.dump(value)
    regions: list[list[memoryview]] = [[buffer.raw()] for buffer in buffers]
    regions += [[_bytes(part) for part in one.parts] for one in pickler.joined]
    places, total = [], 0
    for region in regions:
        size = sum(view.nbytes for view in region)
        places.append((total, size))
        total += -(-size // _ALIGNMENT) * _ALIGNMENT
    shapes = [(str(one.parts[0].dtype), one.parts[0].shape[1:]) for one in pickler.joined]
    connection.send((written.getvalue(), places, shapes, total))
    if not total:
        return
    descriptor = _anonymous_file()
    try:
        os.ftruncate(descriptor, total)
        for (place, _), region in zip(places, regions, strict=True):
            for view in region:
                place += _write(descriptor, view, place)
        send_handle(connection, descriptor, receiver)
    finally:
        os.close(descriptor)


def receive(connection: Connection) -> Any:
    """The value that :func:`send` sent; its arrays lie in the shared pages, which go when the last array does.

    Raises:
        EOFError: the sender is gone.
    """
    data, places, shapes, total = connection.recv()
    memory = memoryview(bytearray())
    if total:
        descriptor = recv_handle(connection)
        try:
            memory = memoryview(mmap.mmap(descriptor, total))
        finally:
            os.close(descriptor)
    regions = [memory[place : place + size] for place, size in places]
    count = len(regions) - len(shapes)
    joined = [
        np.frombuffer(region, dtype).reshape(-1, *shape)
        for region, (dtype, shape) in zip(regions[count:], shapes, strict=True)
    ]
    return _Unpickler(io.BytesIO(data), regions[:count], joined).load()


class _Pickler(pickle.Pickler):
    """Leaves ``Joined`` arrays out, remembered in order."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.joined: list[Joined] = []

    def persistent_id(self, value: Any) -> int | None:
        if not isinstance(value, Joined):
            return None
        self.joined.append(value)
        return len(self.joined) - 1


class _Unpickler(pickle.Unpickler):
    """Puts them where they were."""

    def __init__(self, file: io.BytesIO, buffers: list[memoryview], joined: list[np.ndarray]) -> None:
        super().__init__(file, buffers=buffers)
        self._joined = joined

    def persistent_load(self, number: int) -> np.ndarray:
        return self._joined[number]


def _bytes(array: Any) -> memoryview:
    """An array's bytes, uncopied where they lie in order."""
    ordered: Any = np.ascontiguousarray(array)
    return pickle.PickleBuffer(ordered).raw()


def _write(descriptor: int, view: memoryview, place: int) -> int:
    """Write all of a view; far cheaper than through a mapping, whose every page is cleared first."""
    done = 0
    while done < view.nbytes:
        done += os.pwrite(descriptor, view[done:], place + done)
    return done


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("mimovl")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
