from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mimovl.data import PairFolder, write_pairs
from mimovl.errors import DataError, UsageError
from mimovl.types import Message, Part
from tests.data import small
from tests.preference_pairs import preference


def pairs():
    first, second, film = small.picture(60, 90), small.picture(28, 56, 1), small.clip(4, 2.0)
    turns = (
        Message("user", (Part("image", media=first.sha256), Part("text", "One."), Part("image", media=second.sha256))),
        Message("assistant", (Part("text", "Yes."),)),
        Message("user", (Part("video", media=film.sha256), Part("text", "And <image> now?"))),
    )
    media = {one.sha256: one for one in (first, second, film)}
    several = replace(preference(id="several"), messages=turns, media=media, meta={"scene": "x", "set": "fair"})
    return [several, preference(id="tie", tie=True, source="b"), preference(id="text", chosen="是", source="a")]


def test_pairs_come_back_as_they_were_written(tmp_path: Path) -> None:
    assert write_pairs(tmp_path, pairs()) == 3
    folder = PairFolder(tmp_path)
    assert [folder[number] for number in range(len(folder))] == pairs()
    assert folder.sources == ["test", "b", "a"] and folder.num_ties == 1


def test_ties_can_be_left_out(tmp_path: Path) -> None:
    write_pairs(tmp_path, pairs())
    folder = PairFolder(tmp_path, ties=False)
    assert [folder[number].id for number in range(len(folder))] == ["several", "text"]
    assert folder.sources == ["test", "a"] and folder.num_ties == 1


def other(path: Path, **changes) -> PairFolder:
    """One pair as somebody else writes it: text with placeholders, no ties, no ids."""
    row = {
        "messages": [{"role": "user", "content": "<image>How many?"}],
        "images": [small.encoded(small.noise(56, 56))],
        "chosen": "3",
        "rejected": "4",
        **changes,
    }
    path.mkdir()
    pq.write_table(pa.Table.from_pylist([{k: v for k, v in row.items() if v is not ...}]), path / "train.parquet")
    return PairFolder(path)


def test_other_peoples_columns_are_read(tmp_path: Path) -> None:
    pair = other(tmp_path / "one")[0]
    assert (pair.id, pair.chosen, pair.rejected, pair.tie) == ("train.parquet#0", "3", "4", False)
    assert [part.type for part in pair.messages[0].content] == ["image", "text"] and len(pair.media) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": []}, "sample train.parquet#0: its text holds 1 image placeholders, its column images 0"),
        ({"chosen": None}, "pair train.parquet#0: chosen is NoneType; it must be the answer's text"),
        ({"chosen": ...}, "train.parquet has no column chosen; a pair needs messages, chosen and rejected"),
        ({"messages": ...}, "train.parquet has no column messages"),
        (
            {"messages": [{"role": "user", "content": "<image>"}, {"role": "assistant", "content": "3"}]},
            "pair train.parquet#0: messages must end with the user's turn",
        ),
    ],
)
def test_a_pair_that_cannot_be_used_is_named(tmp_path: Path, changes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        other(tmp_path / "one", **changes)[0]


def test_a_folder_that_is_not_there_and_one_without_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        PairFolder(tmp_path / "none")
    with pytest.raises(DataError, match="holds no parquet file"):
        PairFolder(tmp_path)


def test_a_picture_that_is_named_and_not_held_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    pair = preference(small.picture(56, 56))
    with pytest.raises(DataError, match="pair p: image '[0-9a-f]{16}' is named but not among its media"):
        write_pairs(tmp_path, [replace(pair, media={})])
    assert not list(tmp_path.iterdir())


def test_an_empty_folder_of_pairs_is_a_folder_of_no_pairs(tmp_path: Path) -> None:
    assert write_pairs(tmp_path, []) == 0 and len(PairFolder(tmp_path)) == 0
    assert PairFolder(tmp_path).sources == []
