"""JSON lines: the same records for any stretch, and a drop for every line that is none."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from mimovl.curate.readers.json_lines import JsonLines
from mimovl.errors import DataError
from tests.curate.readers.reading import kept, read_all, reasons, text_of, write


@pytest.mark.parametrize("unit_bytes", [1, 7, 64, 1 << 20])
def test_any_stretch_gives_the_same_records(tmp_path: Path, unit_bytes: int) -> None:
    lines = [json.dumps({"id": f"r{n}", "caption": "é" * (n % 9) + str(n)}, ensure_ascii=False) for n in range(50)]
    write(tmp_path / "a.jsonl", "\n".join(lines))
    write(tmp_path / "b" / "c.jsonl", '{"id": "last", "caption": "x"}\n')
    found = read_all(JsonLines(path=str(tmp_path), unit_bytes=unit_bytes))
    assert list(found) == [f"r{n}" for n in range(50)] + ["last"]
    assert [text_of(record)[-1] for record in list(found.values())[:50]] == [str(n)[-1] for n in range(50)]


def test_a_bad_line_is_one_drop_and_the_next_is_read(tmp_path: Path) -> None:
    deep = "[" * 100_000
    content = (
        b'{"caption": "a"}\n{"caption": \n\n\xff\xfe\n' + deep.encode() + b'\n"text"\n{"id": 1e999}\n{"caption": "z"}\n'
    )
    write(tmp_path / "a.jsonl", content)
    found = read_all(JsonLines(path=str(tmp_path / "a.jsonl")))
    assert sorted(reasons(found).values()) == ["bad_encoding", "bad_json", "bad_json", "no_table", "no_text"]
    assert [text_of(record) for record in kept(found).values()] == ["a", "z"]


def test_gzip_is_read_and_a_torn_one_is_a_drop(tmp_path: Path) -> None:
    packed = gzip.compress(b'{"caption": "a"}\n' * 3)
    write(tmp_path / "whole.jsonl.gz", packed)
    write(tmp_path / "torn.jsonl.gz", packed[:-9])
    write(tmp_path / "no.jsonl.gz", b"no gzip")
    found = read_all(JsonLines(path=str(tmp_path)))
    assert list(reasons(found).values()) == ["unreadable_file"] * 2
    assert len(kept(found)) >= 3


def test_a_folder_without_any_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no JSON lines \(.jsonl, .jsonl.gz"):
        JsonLines(path=str(tmp_path)).units()
    with pytest.raises(DataError, match="no such file or folder"):
        JsonLines(path=str(tmp_path / "none")).units()
