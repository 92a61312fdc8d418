"""What is said of a disk that refused a write."""

from __future__ import annotations

import errno
import io
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from mimovl.train.disk import free_bytes, refusal, what_to_do


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_room_is_made_where_it_lacks(number: int) -> None:
    assert what_to_do(str(OSError(number, os.strerror(number)))) == "make room and start the same command again"


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EIO, errno.EACCES, errno.EROFS])
def test_and_not_for_anything_else(number: int) -> None:
    assert what_to_do(str(OSError(number, os.strerror(number)))) == "see to that and start the same command again"


def test_room_is_told_of_a_file_whose_folder_is_not_there_yet(tmp_path: Path, monkeypatch) -> None:
    assert free_bytes(tmp_path / "no" / "such" / "file") > 0

    def gone(path: object) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(shutil, "disk_usage", gone)
    assert free_bytes(tmp_path / "file") == 0


class Fills(io.RawIOBase):
    """A file on a disk with room for a kilobyte."""

    taken = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        if self.taken + len(data) > 1000:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.taken += len(data)
        return len(data)


def test_what_the_system_said_is_found_behind_torchs_word() -> None:
    with pytest.raises(RuntimeError, match="unexpected pos") as met:
        torch.save(torch.zeros(10**5), Fills())
    found = refusal(met.value)
    assert isinstance(found, OSError) and found.errno == errno.ENOSPC
    assert refusal(plain := RuntimeError("a defect")) is plain
