"""A folder or file that appears whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from mimovl.atomic import AtomicDirectory, write_file
from mimovl.errors import UsageError


def test_a_folder_appears_only_on_commit(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "out"
    with AtomicDirectory(path) as directory:
        (directory.temporary / "a").write_text("1")
        assert not path.exists()
    assert [p.name for p in path.iterdir()] == ["a"]
    assert list(path.parent.iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) & 0o500 == 0o500


def test_an_exception_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), AtomicDirectory(tmp_path / "out"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_existing_work_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(UsageError, match="not empty"):
        AtomicDirectory(tmp_path / "full")
    with pytest.raises(UsageError, match="is not a folder"):
        AtomicDirectory(tmp_path / "full" / "x")
    (tmp_path / "empty").mkdir()
    with AtomicDirectory(tmp_path / "empty") as directory:
        (directory.temporary / "a").touch()
    assert (tmp_path / "empty" / "a").exists()


def test_a_folder_made_meanwhile_wins(tmp_path: Path) -> None:
    directory = AtomicDirectory(tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "theirs").touch()
    with pytest.raises(UsageError, match="meanwhile"):
        directory.commit()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_abandoned_leftovers_are_removed_and_busy_ones_kept(tmp_path: Path) -> None:
    busy = AtomicDirectory(tmp_path / "o[1]")
    abandoned = tmp_path / ".o[1].writing-dead"
    abandoned.mkdir()
    (abandoned / ".lock").touch()
    bare = tmp_path / ".o[1].writing-bare"
    bare.mkdir()
    fresh = tmp_path / ".o[1].writing-fresh"
    fresh.mkdir()
    os.utime(bare, (0, 0))
    other = AtomicDirectory(tmp_path / "o[1]")
    assert busy.temporary.exists() and fresh.exists()
    assert not abandoned.exists() and not bare.exists()
    busy.discard()
    other.discard()
    other.discard()


def test_a_file_is_the_old_one_until_it_is_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_file(path, b"old")

    def refuse(descriptor: int) -> None:
        raise OSError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(OSError, match="no room"):
            write_file(path, b"new")
    assert path.read_bytes() == b"old" and [one.name for one in tmp_path.iterdir()] == ["a.json"]
    write_file(path, b"new")
    assert path.read_bytes() == b"new" and [one.name for one in tmp_path.iterdir()] == ["a.json"]
