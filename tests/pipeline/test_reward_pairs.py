from pathlib import Path

import pytest

from mimovl.pipeline.reward_config import PairsConfig, WorldPairsConfig
from mimovl.pipeline.reward_pairs import open_pairs, world_pairs

COUNTS = {"world/counting": 12, "world/attributes": 8}
CONFIG = WorldPairsConfig(train=COUNTS, calibration=COUNTS, heldout=COUNTS, ties=0.25, longer_wrong=0.25)


@pytest.fixture(scope="module")
def splits():
    return {name: list(world_pairs(CONFIG, name, seed=3)) for name in ("train", "calibration", "heldout")}


def test_the_splits_share_no_scene(splits) -> None:
    scenes = {name: {pair.meta["scene"] for pair in pairs} for name, pairs in splits.items()}
    assert all(len(found) > 10 for found in scenes.values())
    assert not scenes["train"] & scenes["calibration"] and not scenes["heldout"] & scenes["calibration"]
    assert not scenes["train"] & scenes["heldout"]


def test_only_held_out_pairs_are_adversarial_and_ties_are_everywhere(splits) -> None:
    sets = {name: {pair.meta["set"] for pair in pairs} for name, pairs in splits.items()}
    assert sets == {
        "train": {"fair", "tie"},
        "calibration": {"fair", "tie"},
        "heldout": {"fair", "tie", "longer_wrong"},
    }
    assert all(pair.tie == (pair.meta["set"] == "tie") for pairs in splits.values() for pair in pairs)


def test_there_are_as_many_items_of_each_source_as_asked_for(splits) -> None:
    for pairs in splits.values():
        assert len({pair.id.rpartition("#")[0] for pair in pairs if pair.source == "world/counting"}) == 12
        assert len({pair.id for pair in pairs}) == len(pairs)


def test_pairs_are_written_once_and_the_same_for_the_same_seed(tmp_path: Path, splits) -> None:
    first = open_pairs(PairsConfig(world=CONFIG), tmp_path, seed=3, ties=True)
    assert [first.train[number] for number in range(len(first.train))] == splits["train"]
    written = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.parquet")}
    assert len(written) == 3
    again = open_pairs(PairsConfig(world=CONFIG), tmp_path, seed=3, ties=False)
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.parquet")} == written
    assert len(again.train) == sum(not pair.tie for pair in splits["train"])
    assert len(again.heldout) == len(splits["heldout"])  # ties are reported either way
