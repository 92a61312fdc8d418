"""Freed memory is kept for what comes next.

glibc maps every large block anew and gives it back when it is freed; the kernel then clears each page at its first
touch. On the CPU that costs a third of a training step. What a process has needed once, it may keep.
"""

from __future__ import annotations

import contextlib
import ctypes

__all__ = ["keep_freed_memory", "keep_some_freed_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4


def keep_freed_memory() -> None:
    """Have the C library reuse what is freed from here on, for the rest of the process; does nothing without glibc.

    What was freed before is given back first: another training's blocks are of other sizes.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.malloc_trim(0)
        library.mallopt(_MMAP_MAX, 0)
        library.mallopt(_TRIM_THRESHOLD, -1)


def keep_some_freed_memory() -> None:
    """Have it reuse one picture's memory for the next, up to half a gigabyte: for a process that only reads data."""
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, 32 << 20)  # its largest
        library.mallopt(_TRIM_THRESHOLD, 512 << 20)
