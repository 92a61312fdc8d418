"""Handing tensors from one process to another without copying them through a pipe.

The sender lays the arrays of an object end to end in anonymous memory and passes its descriptor over the socket; the
receiver maps the same pages. Nothing has a name, so nothing is left behind however either side ends, and the size of
/dev/shm is no limit. Where a system has no anonymous memory files, an unlinked temporary file does the same.
"""

from __future__ import annotations

import mmap
import os
import pickle
import tempfile
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from typing import Any

__all__ = ["receive", "send"]

_ALIGNMENT = 64


def send(connection: Connection, value: Any, receiver: int) -> None:
    """Send a value whose numpy arrays travel as shared memory.

    Args:
        connection: a pipe between two processes of one machine.
        value: anything that can be pickled.
        receiver: process id of the other end.
    """
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    raw = [buffer.raw() for buffer in buffers]
    places, total = [], 0
    for view in raw:
        places.append((total, view.nbytes))
        total += -(-view.nbytes // _ALIGNMENT) * _ALIGNMENT
    connection.send((data, places, total))
    if not total:
        return
    descriptor = _anonymous_file()
    try:
        os.ftruncate(descriptor, total)
        with mmap.mmap(descriptor, total) as memory:
            for (place, size), view in zip(places, raw, strict=True):
                memory[place : place + size] = view
        send_handle(connection, descriptor, receiver)
    finally:
        os.close(descriptor)


def receive(connection: Connection) -> Any:
    """The value that :func:`send` sent; its arrays lie in the shared pages, which go when the last array does.

    Raises:
        EOFError: the sender is gone.
    """
    data, places, total = connection.recv()
    if not total:
        return pickle.loads(data, buffers=[bytearray() for _ in places])
    descriptor = recv_handle(connection)
    try:
        memory = memoryview(mmap.mmap(descriptor, total))
    finally:
        os.close(descriptor)
    return pickle.loads(data, buffers=[memory[place : place + size] for place, size in places])


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("mimovl")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
