"""A folder or file that appears whole or not at all: filled under a temporary sibling name, then renamed.

A writer of a folder that is killed leaves only a hidden ``.NAME.writing-…`` sibling, which the next writer of the same
folder removes (a lock that dies with its process tells abandoned from busy).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path
from types import TracebackType

from mimovl.errors import UsageError

__all__ = ["AtomicDirectory", "sync", "write_file"]

_LOCK = ".lock"
_ABANDONED_SECONDS = 3600.0
"""A temporary folder without a lock file is abandoned when older than this (its writer is between two system calls)."""


class AtomicDirectory:
    """``temporary`` is a folder to fill; ``commit`` turns it into ``path``, ``discard`` removes it.

    As a context manager it commits on success and discards when an exception passes.

    Raises:
        UsageError: ``path`` exists already and is not an empty folder.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if self.path.is_dir():
            if any(self.path.iterdir()):
                raise UsageError(f"{self.path} exists and is not empty; delete it or choose another folder")
        elif os.path.lexists(self.path):
            raise UsageError(f"{self.path} exists and is not a folder; choose another name")
        parent = self.path.absolute().parent
        parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{self.path.absolute().name}.writing-"
        for sibling in parent.glob(f"{_escape(prefix)}*"):
            _remove_if_abandoned(sibling)
        self.temporary = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        self._lock = os.open(self.temporary / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._open = True

    def commit(self) -> None:
        """Put everything on the disk, then under its name.

        Raises:
            UsageError: Somebody else made ``path`` meanwhile.
        """
        assert self._open, "committed or discarded before"
        (self.temporary / _LOCK).unlink()
        self.temporary.chmod(0o777 & ~_umask())
        for folder, _, files in os.walk(self.temporary):
            for name in files:
                sync(Path(folder, name))
            sync(Path(folder))
        try:
            os.rename(self.temporary, self.path)  # replaces an empty folder, refuses any other
        except OSError:
            self.discard()
            raise UsageError(f"{self.path} was made by somebody else meanwhile; nothing was written") from None
        sync(self.path.absolute().parent)
        self._release()

    def discard(self) -> None:
        """Remove what was written. Does nothing after ``commit``."""
        if self._open:
            shutil.rmtree(self.temporary, ignore_errors=True)
            self._release()

    def _release(self) -> None:
        self._open = False
        os.close(self._lock)

    def __enter__(self) -> AtomicDirectory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self.discard()


def _remove_if_abandoned(folder: Path) -> None:
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        if folder.is_dir() and time.time() - folder.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        pass  # its writer lives
    finally:
        os.close(lock)


def _escape(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_file(path: Path, data: bytes) -> None:
    """Put bytes on the disk under a hidden name beside the file's own, then under that.

    Raises:
        OSError: the disk refuses; the file is as it was, and nothing lies beside it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.writing")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def sync(path: Path) -> None:
    """Until a file's bytes, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
