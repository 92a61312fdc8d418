"""What is said of a disk that refused a write: why, how much room there was, and what to do."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

__all__ = ["free_bytes", "refusal", "what_to_do"]


def refusal(error: BaseException) -> BaseException:
    """The system's refusal of a write, which torch hides behind a word of its own."""
    hidden = error.__context__
    return hidden if isinstance(error, RuntimeError) and isinstance(hidden, OSError) else error


def free_bytes(path: Path) -> int:
    """Room where a file is or is to be; 0 where nobody can tell."""
    there = next((folder for folder in path.absolute().parents if folder.is_dir()), None)
    try:
        return shutil.disk_usage(there).free if there else 0
    except OSError:
        return 0


_NO_ROOM = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT))


def what_to_do(reason: str) -> str:
    """The cure of a write that failed, by the system's words: room is made only where it lacks."""
    cure = "make room" if any(words in reason for words in _NO_ROOM) else "see to that"
    return f"{cure} and start the same command again"
