from pathlib import Path

import pytest

from mimovl.errors import UsageError
from mimovl.preference.journal import Journal


def test_what_was_added_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "below" / "a.jsonl"
    Journal(path, "x").add([("one", [1, "是"]), ("two", "\ud800")])
    Journal(path, "x").add([("three", None)])
    assert Journal(path, "x").entries == {"one": [1, "是"], "two": "\ud800", "three": None}


def test_a_line_torn_by_a_kill_is_cut_off_and_written_again(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    journal = Journal(path, "x")
    journal.add([("one", 1)])
    whole = path.read_bytes()
    journal.add([("two", 2)])
    for length in range(len(whole), len(path.read_bytes())):
        path.write_bytes((whole + b'{"key": "two", "value": 2}\n')[:length])
        torn = Journal(path, "x")
        assert torn.entries == {"one": 1}
        torn.add([("two", 3)])
        assert Journal(path, "x").entries == {"one": 1, "two": 3}
    path.write_bytes(whole[:5])
    assert Journal(path, "y").entries == {}


def test_a_journal_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    Journal(path, "x")
    with pytest.raises(UsageError, match="was begun with other prompts, generators, ranker or settings"):
        Journal(path, "y")
    path.write_text("{}\n")
    with pytest.raises(UsageError, match="is no journal"):
        Journal(path, "x")
