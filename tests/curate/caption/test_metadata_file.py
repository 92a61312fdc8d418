from pathlib import Path

import pytest

from mimovl.curate.caption.metadata_file import Entry, load_matcher, read_metadata, write_metadata, writing_of
from mimovl.errors import DataError, UsageError


def test_entries_come_back_as_they_were_written(tmp_path: Path) -> None:
    entries = [Entry("polar bear", "en", "bigram", 1289, 11.482), Entry("北极熊", "zh", "ngram", 733, 9.12)]
    assert write_metadata(tmp_path / "deep" / "m.tsv", entries) == 2
    assert read_metadata(tmp_path / "deep" / "m.tsv") == entries
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["m.tsv"]


def test_a_failed_writing_leaves_the_old_file(tmp_path: Path) -> None:
    write_metadata(tmp_path / "m.tsv", [Entry("old", "en")])
    with pytest.raises(ZeroDivisionError):
        write_metadata(tmp_path / "m.tsv", (Entry(str(1 // number), "en") for number in (1, 0)))
    assert [entry.text for entry in read_metadata(tmp_path / "m.tsv")] == ["old"]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_plain_list_of_words_is_metadata_with_languages_told_from_the_writing(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("cat\n\n北极熊\nT恤\n", encoding="utf-8")
    found = read_metadata(tmp_path / "words.txt")
    assert [(entry.text, entry.language) for entry in found] == [("cat", "en"), ("北极熊", "zh"), ("T恤", "zh")]
    assert writing_of("naïve") == "en"


def test_what_cannot_be_read_is_said_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "m.tsv"
    with pytest.raises(UsageError, match="no such metadata file; make one with"):
        load_matcher(path)
    path.write_text("# mimovl metadata 1\nentry\tlanguage\torigin\tcount\tpmi\ncat\ten\ttitle\t1\t0\ndog\ten\n")
    with pytest.raises(DataError, match="line 4: 2 columns"):
        read_metadata(path)
    path.write_text("\n")
    with pytest.raises(DataError, match="has no entry"):
        read_metadata(path)
    path.write_bytes(b"caf\xe9\n")
    with pytest.raises(DataError, match="not UTF-8"):
        read_metadata(path)


def test_the_automaton_is_kept_until_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "m.tsv"
    write_metadata(path, [Entry("cat", "en")])
    first = load_matcher(path)
    assert load_matcher(path) is first
    write_metadata(path, [Entry("cat", "en"), Entry("dog", "en")])
    assert len(load_matcher(path)[1]) == 2
