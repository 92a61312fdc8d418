"""Memory of freed tensors is kept for the next ones.

glibc maps every large block anew and gives it back when it is freed; the kernel then clears each page at its first
touch. On the CPU that costs a third of a training step. What a process has needed once, it may keep.
"""

from __future__ import annotations

import contextlib
import ctypes

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Have the C library reuse freed memory, for the rest of the process; does nothing where it is not glibc."""
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_MAX, 0)
        library.mallopt(_TRIM_THRESHOLD, -1)
