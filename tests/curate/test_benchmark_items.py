from pathlib import Path

import pytest

from mimovl.curate.benchmark_items import items_of, read_items
from mimovl.errors import DataError, UsageError
from mimovl.store import DatasetWriter
from tests.curate.pictures import encoded, sample_of, small_photo


def test_a_dataset_a_picture_folder_and_lines_of_text_are_read(tmp_path: Path) -> None:
    picture = encoded(small_photo(0))
    sample = sample_of("s", "Which?", picture)
    with DatasetWriter(tmp_path / "set") as writer:
        writer.add(sample)
    [item] = read_items(tmp_path / "set")
    assert (item.id, item.pictures, item.texts) == ("s", (picture,), ("Which?",))
    assert next(items_of([sample], "b")).benchmark == "b"
    (tmp_path / "pictures" / "deep").mkdir(parents=True)
    (tmp_path / "pictures" / "deep" / "a.JPG").write_bytes(picture)
    (tmp_path / "pictures" / "notes.md").write_text("no picture")
    assert [(item.id, item.pictures) for item in read_items(tmp_path / "pictures")] == [("deep/a.JPG", (picture,))]
    (tmp_path / "q.jsonl").write_text('{"id": 5, "question": "Why?"}\n\n{"text": "因为"}\n', encoding="utf-8")
    lines = [(item.id, item.texts) for item in read_items(tmp_path / "q.jsonl")]
    assert lines == [("5", ("Why?",)), ("line 3", ("因为",))]
    (tmp_path / "q.txt").write_text("One?\nTwo?\n")
    assert [item.texts for item in read_items(tmp_path / "q.txt")] == [("One?",), ("Two?",)]


def test_what_cannot_be_read_names_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"question": "Why?"}\n{"answer": 1}\n')
    with pytest.raises(DataError, match="q.jsonl:2"):
        list(read_items(tmp_path / "q.jsonl"))
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(DataError, match="bytes.txt"):
        list(read_items(tmp_path / "bytes.txt"))
    with pytest.raises(UsageError, match="no such folder"):
        list(read_items(tmp_path / "missing"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no dataset and no picture"):
        list(read_items(tmp_path / "empty"))
