"""What the tests of data workers have them do; importable, as a spawned process needs it."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mimovl.data.lengths import OpenMedia, peek_at
from mimovl.data.workers import Note
from mimovl.errors import DataError, MediaError, MissingExtraError
from mimovl.types import Sample
from tests.data import small


def jobs(kind: str, about: Any, note: Note) -> Any:
    note(f"sample {about}")
    match kind:
        case "double":
            return {"array": np.full(50_000, 2 * about), "pid": os.getpid()}
        case "slow":
            time.sleep(0.3)
            return os.getpid()
        case "meet":  # done when the other has begun as well: only side by side
            folder, mine, other = about
            (folder / mine).touch()
            deadline = time.monotonic() + 120
            while not (met := (folder / other).exists()) and time.monotonic() < deadline:
                time.sleep(0.01)
            return met
        case "data error":
            raise DataError(f"sample {about}: 3 of 4 pictures")
        case "media error":
            raise MediaError(f"sample {about}: no picture", reason="not_an_image")
        case "missing":
            raise MissingExtraError("PyAV", "video", "reading film.mp4")
        case "defect":
            return 1 // 0
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "crash":
            ctypes.string_at(0)
        case "leave":
            os._exit(7)
        case "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            return "unmoved"
        case "threads":
            import torch

            return torch.get_num_threads()
    raise AssertionError(kind)


@dataclass(frozen=True)
class Reader:
    """Samples like those of the loader's tests; some of them broken, slow or deadly."""

    count: int = 17
    broken: tuple[int, ...] = ()
    """Whose picture is damaged behind its header."""
    headless: tuple[int, ...] = ()
    """Whose picture has no header."""
    deadly: tuple[int, ...] = ()
    log: str = ""
    """A file that gets a line for each sample read."""

    def __len__(self) -> int:
        return self.count

    def __call__(self, index: int) -> Sample:
        if self.log:
            with Path(self.log).open("a") as file:
                file.write(f"{os.getpid()} {index}\n")
        if index in self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        pictures = [small.picture(28 * (1 + index % 3), 56, index)] if index % 4 else []
        if index in self.broken + self.headless:
            cut = 60 if index in self.broken else 10
            pictures = [replace(media, data=media.data[:cut]) for media in pictures]
        return small.conversation(
            *pictures, id=f"s{index}", question="How many red circles? " * (1 + index % 5), answer=str(index)
        )

    __getitem__ = __call__

    def peek(self, index: int) -> tuple[Sample, OpenMedia]:
        return peek_at(Whole(self), index)


class Whole:
    """Samples of which nothing less than all can be read."""

    def __init__(self, read: Reader) -> None:
        self.read = read

    def __len__(self) -> int:
        return len(self.read)

    def __getitem__(self, index: int) -> Sample:
        return self.read(index)
