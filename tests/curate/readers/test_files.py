"""What a path means: a file, a folder searched through in one order, a pattern."""

from __future__ import annotations

from pathlib import Path

import pytest

from mimovl.curate.readers.files import files_of, short_name
from mimovl.errors import DataError
from tests.curate.readers.reading import write


def test_files_come_in_the_order_of_their_paths_whatever_the_system_gives(tmp_path: Path) -> None:
    for name in ("b/1.x", "a.x", "b.x", "B.X", "c.y", ".hidden/2.x", ".3.x"):
        write(tmp_path / name, "")
    names = [short_name(file, str(tmp_path)) for file in files_of(str(tmp_path), (".x",), "things")]
    assert names == ["B.X", "a.x", "b.x", "b/1.x"]
    assert files_of(str(tmp_path / "a.x"), (".x",), "things") == [tmp_path / "a.x"]
    assert [file.name for file in files_of(f"{tmp_path}/*.x", (".x",), "things")] == [".3.x", "a.x", "b.x"]
    assert short_name(tmp_path / "a.x", str(tmp_path / "a.x")) == "a.x"


def test_nothing_there_is_said_with_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no things \(\.x\)"):
        files_of(str(tmp_path), (".x",), "things")
    with pytest.raises(DataError, match="no such file or folder; give where the things are"):
        files_of(str(tmp_path / "no"), (".x",), "things")
