import gzip
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from mimovl.curate.caption.corpus import read_texts
from mimovl.errors import DataError, UsageError

TEXTS = ["A cat.", "一只猫。", "two words"]


def test_every_kind_of_file_gives_the_same_texts(tmp_path: Path) -> None:
    lines = "\n\n".join(TEXTS) + "\n"
    records = "".join(json.dumps({"id": 1, "caption": text}) + "\n" for text in TEXTS)
    (tmp_path / "a.txt").write_text(lines, encoding="utf-8")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "c.jsonl").write_text(records, encoding="utf-8")
    (tmp_path / "d.jsonl.gz").write_bytes(gzip.compress(records.encode()))
    pyarrow.parquet.write_table(pyarrow.table({"id": [1, 2, 3], "text": TEXTS}), tmp_path / "e.parquet")
    for path in sorted(tmp_path.iterdir()):
        assert list(read_texts(path)) == TEXTS, path


def test_a_column_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "no", "alt": "yes"}\n')
    pyarrow.parquet.write_table(pyarrow.table({"text": ["no"], "alt": ["yes"]}), tmp_path / "b.parquet")
    assert [*read_texts(tmp_path / "a.jsonl", "alt"), *read_texts(tmp_path / "b.parquet", "alt")] == ["yes", "yes"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", b"caf\xe9\n", "is not UTF-8"),
        ("a.jsonl", b'{"text": "a"}\n{"text"\n', "line 2 is no JSON"),
        ("a.jsonl", b'{"words": "a"}\n', "line 1 has no text under text or caption.*--column"),
        ("a.jsonl", b"[1]\n", "line 1 has no text"),
        ("a.txt.gz", gzip.compress(b"a line\n" * 1000)[:30], "no whole gzip file"),
        ("a.parquet", b"PAR1", "is no parquet file"),
        ("a.doc", b"", "a corpus is .txt"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises((DataError, UsageError), match=says):
        list(read_texts(tmp_path / name))


def test_a_missing_file_and_a_missing_column_are_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such corpus file"):
        list(read_texts(tmp_path / "gone.txt"))
    pyarrow.parquet.write_table(pyarrow.table({"words": ["a"]}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match="has the columns words, not"):
        list(read_texts(tmp_path / "b.parquet"))
