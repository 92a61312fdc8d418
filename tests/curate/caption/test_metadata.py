import random
from pathlib import Path

import pytest

from mimovl.curate.caption.metadata import MetadataSettings, build_metadata
from mimovl.curate.caption.metadata_file import Entry, read_metadata
from mimovl.errors import DataError, UsageError

FILLER = ["street", "house", "water", "garden", "window", "people", "light", "morning", "table", "road"]
SIGNS = "街房水园窗人光早桌路山石木门船鸟花草云雨"


@pytest.fixture
def corpora(tmp_path: Path) -> list[Path]:
    rng = random.Random(0)
    english = []
    for _ in range(3000):
        words = rng.choices(FILLER, k=6)
        if rng.random() < 0.02:
            words[rng.randrange(6)] = "polar bear"
        english.append(f"the {' '.join(words)} of the {rng.choice(FILLER)}.")
    chinese = []
    for _ in range(3000):
        signs = rng.choices(SIGNS, k=10)
        if rng.random() < 0.05:
            signs[rng.randrange(1, 9)] = "北极熊"
        chinese.append("".join(signs) + "。")
    (tmp_path / "en.txt").write_text("\n".join(english), encoding="utf-8")
    (tmp_path / "zh.txt").write_text("\n".join(chinese), encoding="utf-8")
    (tmp_path / "titles.txt").write_text(
        "Mona Lisa (painting)\nThe_Scream\n蒙娜丽莎\nThe\n1984\nA\nmona lisa\n", "utf-8"
    )
    return [tmp_path / "en.txt", tmp_path / "zh.txt"]


def test_titles_words_and_what_meets_oftener_than_chance_are_entries(corpora: list[Path], tmp_path: Path) -> None:
    summary = build_metadata(tmp_path / "m.tsv", corpora, [tmp_path / "titles.txt"])
    entries = read_metadata(tmp_path / "m.tsv")
    by_origin = {origin: [entry.text for entry in entries if entry.origin == origin] for origin in ("title", "bigram")}
    assert by_origin["title"] == ["Mona Lisa", "The Scream", "蒙娜丽莎"]
    assert by_origin["bigram"] == ["polar bear"]
    assert [entry.text for entry in entries if entry.origin == "ngram"] == ["北极熊"]
    unigrams = {entry.text for entry in entries if entry.origin == "unigram"}
    assert unigrams == {*FILLER, "polar", "bear"}
    assert {entry.language for entry in entries if entry.text in ("蒙娜丽莎", "北极熊")} == {"zh"}
    assert summary["texts"] == 6000 and summary["entries"] == len(entries)
    assert summary["by_origin"] == {"en bigram": 1, "en title": 2, "en unigram": 12, "zh ngram": 1, "zh title": 1}


def test_the_same_corpora_give_the_same_file(corpora: list[Path], tmp_path: Path) -> None:
    for name in ("one.tsv", "two.tsv"):
        build_metadata(tmp_path / name, corpora)
    assert (tmp_path / "one.tsv").read_bytes() == (tmp_path / "two.tsv").read_bytes()


def test_the_commonest_of_each_origin_stay_within_the_limit(corpora: list[Path], tmp_path: Path) -> None:
    build_metadata(tmp_path / "m.tsv", corpora, settings=MetadataSettings(limit=2))
    counts = [entry.count for entry in read_metadata(tmp_path / "m.tsv") if entry.origin == "unigram"]
    build_metadata(tmp_path / "all.tsv", corpora)
    every = sorted(
        (entry.count for entry in read_metadata(tmp_path / "all.tsv") if entry.origin == "unigram"), reverse=True
    )
    assert counts == every[:2]


def test_progress_names_each_file_with_its_texts(corpora: list[Path], tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []
    build_metadata(tmp_path / "m.tsv", corpora, progress=lambda name, read: told.append((name, read)))
    assert told == [(str(corpora[0]), 3000), (str(corpora[1]), 3000)]


def test_nothing_to_read_and_nothing_found_are_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give --corpus or --titles"):
        build_metadata(tmp_path / "m.tsv")
    (tmp_path / "few.txt").write_text("one two\n")
    with pytest.raises(DataError, match="nothing in 1 texts and 0 titles.*--min-count"):
        build_metadata(tmp_path / "m.tsv", [tmp_path / "few.txt"])
    assert not (tmp_path / "m.tsv").exists()


def test_titles_alone_are_metadata(tmp_path: Path) -> None:
    (tmp_path / "titles.txt").write_text("cat\n")
    build_metadata(tmp_path / "m.tsv", titles=[tmp_path / "titles.txt"])
    assert read_metadata(tmp_path / "m.tsv") == [Entry("cat", "en", "title")]
