"""A sample's story: each step that kept, changed, split or dropped it, and where it was found."""

from __future__ import annotations

from pathlib import Path

import pytest

from mimovl.curate.pipeline import curate, explain
from mimovl.curate.pipeline.story import find_curation
from mimovl.errors import UsageError
from mimovl.store import DatasetWriter
from tests.curate.pipeline.parts import Double, DropEven, Numbers, OnePerPicture, Shout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "day" / "out"
    curate([Numbers()], [Shout(), OnePerPicture(), Double(), DropEven()], out, workers=0)
    return out


def words(story: str) -> list[str]:
    return [" ".join(line.split()) for line in story.splitlines()]


def test_a_kept_sample_is_followed_from_the_one_it_was_made_of(folder: Path) -> None:
    assert words(explain(folder, "n9/a")) == [
        "n9",
        "read from n-000000",
        "shout changed: text “number 9” → “NUMBER 9”; meta.seed = 0",
        "one_per_picture kept",
        "double became n9/a, n9/b",
        "n9/a",
        "double made of n9",
        "drop_even kept",
        "store kept, in the dataset",
    ]


def test_a_dropped_sample_says_where_and_why(folder: Path) -> None:
    assert words(explain(folder, "n3")) == ["n3", "read dropped, broken: 3 is broken"]
    assert words(explain(folder, "n48"))[-1] == "one_per_picture dropped, seen: as n8"
    assert words(explain(folder, "n8/b"))[-1] == "drop_even dropped, even: NUMBER 8"
    assert words(explain(folder, "n5"))[-1] == "double became nothing"


def test_two_samples_of_one_id_have_a_story_each(tmp_path: Path) -> None:
    curate([Numbers(count=5), Numbers(count=5)], [Shout()], tmp_path / "out", workers=0)
    story = words(explain(tmp_path / "out", "n1"))
    assert story.count("n1") == 2 and story[-1].startswith("store dropped, duplicate_id: a sample before it")
    assert story[3] == "store kept, in the dataset"


def test_the_dataset_that_knows_an_id_is_found_below_a_folder(folder: Path, tmp_path: Path) -> None:
    assert find_curation("n9/a", folder.parent.parent) == find_curation("n9/a", folder) == folder
    with pytest.raises(UsageError, match="none of the 1 curated datasets below .* has met a sample with the id 'n999'"):
        find_curation("n999", folder.parent)
    with pytest.raises(UsageError, match="no curated dataset below"):
        find_curation("n9", tmp_path)
    with pytest.raises(UsageError, match="has met no sample with the id 'n999'"):
        explain(folder, "n999")
    with DatasetWriter(tmp_path / "plain"):
        pass
    with pytest.raises(UsageError, match="was not made by mimovl curate"):
        explain(tmp_path / "plain", "x")
