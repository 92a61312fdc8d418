"""Files of documents: found in order, read within a limit, unpacked, or dropped with the reason."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from mimovl.curate.readers.document_files import document_units, read_document
from mimovl.curate.step import Dropped
from mimovl.errors import DataError


def reason(path: Path, limit: int = 100) -> str:
    found = read_document(str(path), limit)
    assert isinstance(found, Dropped)
    return found.reason


def test_units_are_the_files_by_name_to_any_depth(tmp_path: Path) -> None:
    for name in ("b.pdf", "a/C.PDF", "a/d.pdf.gz", "e.txt", ".hidden.pdf", ".git/x.pdf"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [unit.name for unit in document_units(str(tmp_path), (".pdf",))] == ["a/C.PDF", "a/d.pdf.gz", "b.pdf"]
    assert [unit.name for unit in document_units(str(tmp_path / "e.txt"), (".pdf",))] == ["e.txt"]


def test_nothing_there_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no file that ends in .pdf"):
        document_units(str(tmp_path), (".pdf",))
    with pytest.raises(DataError, match="no such file or folder"):
        document_units(str(tmp_path / "none"), (".pdf",))


def test_a_gzipped_file_is_unpacked_no_further_than_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.html.gz"
    path.write_bytes(gzip.compress(b"hello"))
    assert read_document(str(path), 100) == b"hello"
    path.write_bytes(gzip.compress(bytes(50 << 20)))
    assert reason(path) == "too_large"


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    assert reason(path) == "unreadable_file"
    path.write_bytes(b"")
    assert reason(path) == "empty_file"
    path.write_bytes(b"x" * 101)
    assert reason(path) == "too_large"
    for data in (b"no gzip", gzip.compress(b"hello" * 99)[:20]):
        packed = tmp_path / "a.gz"
        packed.write_bytes(data)
        assert reason(packed) == "damaged_gzip"
