from __future__ import annotations

import io
import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageSequence

from mimovl.curate.phash import phash64, phash64_clip
from mimovl.curate.world import WorldItem, build_item
from mimovl.curate.world.items import KEY_SEPARATOR, key_hash
from mimovl.pipeline import data as pipeline_data
from mimovl.pipeline.config import DataConfig
from mimovl.pipeline.data import (
    WorldSamples,
    asked_in_training,
    build_datasets,
    heldout_questions,
    is_built,
    item_hashes,
)
from mimovl.store import Dataset, DatasetWriter
from mimovl.team import Team, run_team
from mimovl.types import Sample
from tests import tiny
from tests.data import small

CONFIG = DataConfig.model_validate(
    {
        "world": {"clip_seconds": [4, 6], "clip_event_seconds": [1, 3], "chinese_share": 0},
        "train": {"world/counting": 40, "world/clip": 15, "world/interleaved": 10, "world/arithmetic": 20},
        "long": {"items": {"world/counting": 4, "world/clip": 2}, "join": 3},
        "heldout": {"world/counting": 20, "world/clip": 10, "world/arithmetic": 10, "world/grounding": 10},
        "prompts": {"world/counting": 15, "world/caption": 5, "world/clip": 5, "world/arithmetic": 8},
        "questions": 2,
    }
)


def quiet(done: int, total: int, text: str) -> None:
    """Nobody looks."""


def build(folder: Path, config: DataConfig = CONFIG, seed: int = 5, advance: Any = quiet) -> dict[str, Any]:
    return build_datasets(config, folder, seed=seed, recipe_hash="hash", advance=advance)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder, what was told, and the items that were drawn."""
    folder = tmp_path_factory.mktemp("data")
    items: list[WorldItem] = []

    def spy(*arguments: Any, **options: Any) -> WorldItem:
        items.append(build_item(*arguments, **options))
        return items[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline_data, "build_item", spy)
        summary = build(folder)
    return folder, summary, items


def stored_hashes(dataset: Dataset) -> set[int]:
    """Perceptual hashes of the pictures and clips as they are stored."""
    found = set()
    for sample in dataset:
        for media in sample.media.values():
            with Image.open(io.BytesIO(media.data)) as image:
                frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(image)]
            found.add(phash64(frames[0]) if media.kind == "image" else phash64_clip(frames))
    return found


# ---------------------------------------------------------------- nothing leaks


SETS = ("train", "prompts", "heldout")


def test_the_three_sets_share_no_scene(tmp_path: Path) -> None:
    """With so little arithmetic to go round that prompts would meet training again and again."""
    config = CONFIG.model_copy(
        update={
            "train": {**CONFIG.train, "world/arithmetic": 300},
            "prompts": {**CONFIG.prompts, "world/arithmetic": 150},
        }
    )
    summary = build(tmp_path, config)
    scenes = {name: {s.meta["scene"] for s in Dataset.open(tmp_path / name) if "scene" in s.meta} for name in SETS}
    assert all(not scenes[one] & scenes[other] for one, other in itertools.combinations(SETS, 2))
    drops = list(Dataset.open(tmp_path / "prompts").drops())
    assert summary["dropped"] == {"trained_scene": len(drops)} and drops
    for drop in drops:
        item = build_item(
            "world/arithmetic", seed=5, index=int(drop.id.rsplit("-", 1)[1]), split="train", config=config.world
        )
        assert item.id == drop.id and key_hash(item.key) in scenes["train"]


def test_held_out_scenes_are_in_no_other_set(built) -> None:
    _, _, items = built
    keys: dict[str, set[str]] = {"train": set(), "heldout": set()}
    for item in items:
        keys[item.id.partition("/")[2].split("/")[1].split("-")[0]].update(item.key.split(KEY_SEPARATOR))
    assert len(keys["heldout"]) > 40 and len(keys["train"]) > 100
    assert not keys["heldout"] & keys["train"]


def test_the_three_sets_share_no_picture_nor_any_that_look_alike(built) -> None:
    folder, _, _ = built
    hashes = {name: stored_hashes(Dataset.open(folder / name)) for name in SETS}
    assert all(len(found) > 15 for found in hashes.values())
    assert all(not hashes[one] & hashes[other] for one, other in itertools.combinations(SETS, 2))


def test_training_and_prompts_share_no_item(built) -> None:
    folder, _, _ = built
    ids = {
        name: {record.id.split("#")[0] for record in Dataset.open(folder / name).records}
        for name in ("train", "prompts")
    }
    assert not ids["train"] & ids["prompts"]
    assert all(int(name.rsplit("-", 1)[1]) >= 10**6 for name in ids["prompts"])


@pytest.mark.parametrize("where", ["train", "prompts", "long"])
def test_a_planted_look_alike_is_left_out_counted_and_listed(where: str, tmp_path: Path, monkeypatch) -> None:
    """One training picture is replaced by a held-out one."""
    number = {"train": 3, "prompts": 10**6 + 2, "long": 10**7 + 4}[where]
    held = build_item("world/counting", seed=5, index=1, split="heldout", config=CONFIG.world)

    def planted(source: str, *, seed: int, index: int, split: Any, config: Any) -> WorldItem:
        item = build_item(source, seed=seed, index=index, split=split, config=config)
        if (source, split, index) == ("world/counting", "train", number):
            return replace(item, image=held.image)
        return item

    config = CONFIG.model_copy(
        update={
            "train": {"world/counting": 6},
            "heldout": {"world/counting": 4},
            "prompts": {"world/counting": 4},
            "long": CONFIG.long.model_copy(update={"items": {"world/counting": 3}}),
        }
    )
    plain = build(tmp_path / "plain", config)
    monkeypatch.setattr(pipeline_data, "build_item", planted)
    summary = build(tmp_path / "data", config)
    assert plain["heldout_phash_removed"] == 0
    assert summary["heldout_phash_removed"] == summary["dropped"]["heldout_phash"] == 1
    name = "prompts" if where == "prompts" else "train"
    dataset = Dataset.open(tmp_path / "data" / name)
    (drop,) = dataset.drops()
    expected = {"long": "long/counting/train-5-1"}.get(where, f"world/counting/train-5-{number}")
    assert (drop.id, drop.reason) == (expected, "heldout_phash")
    assert not [record for record in dataset.records if record.id.split("#")[0] == expected]
    assert {record.id for record in Dataset.open(tmp_path / "plain" / name).records} > {r.id for r in dataset.records}


# ---------------------------------------------------------------- what is written


def test_counts_are_those_of_the_recipe_and_of_the_files(built) -> None:
    folder, summary, _ = built
    assert summary["counts"] == {**CONFIG.train, "long/counting": 4, "long/clip": 2}
    train, prompts, heldout = (Dataset.open(folder / name) for name in ("train", "prompts", "heldout"))
    assert Counter(record.source for record in train.records) == summary["counts"]
    assert (summary["prompts"], summary["heldout"]) == (len(prompts), len(heldout))
    assert (summary["dropped"], summary["heldout_phash_removed"]) == ({}, 0)
    assert {manifest["recipe_hash"] for manifest in (train.manifest, prompts.manifest, heldout.manifest)} == {"hash"}


def test_questions_are_graded_and_few_an_item(built) -> None:
    folder, _, _ = built
    for name in ("prompts", "heldout"):
        samples = list(Dataset.open(folder / name))
        assert all(sample.gold is not None and sample.messages[-1].role == "user" for sample in samples)
    asked = Counter(record.id.split("#")[0] for record in Dataset.open(folder / "heldout").records)
    assert len(asked) == 50 and max(asked.values()) == 2


def test_captions_are_no_prompts_for_reinforcement_learning(built) -> None:
    folder, _, _ = built
    tasks = {record.task for record in Dataset.open(folder / "prompts").records}
    assert "caption" not in tasks and {"counting", "clip_span", "arithmetic"} <= tasks


def test_a_long_sample_goes_on_over_several_pictures(built) -> None:
    folder, _, _ = built
    long = [sample for sample in Dataset.open(folder / "train") if sample.source.startswith("long/")]
    assert len(long) == 6
    for sample in long:
        shown = [part.media for message in sample.messages for part in message.content if part.type != "text"]
        assert len(shown) == len(set(shown)) == len(sample.media) == 3
        roles = [message.role for message in sample.messages]
        assert roles == ["user", "assistant"] * (len(roles) // 2) and len(roles) >= 6
    ordinary = tiny.processor().encode(Dataset.open(folder / "train")[0]).num_tokens
    assert tiny.processor().encode(long[0]).num_tokens > ordinary


def test_the_same_seed_makes_the_same_samples_and_another_does_not(built, tmp_path: Path) -> None:
    folder, summary, _ = built
    assert build(tmp_path / "again") == summary
    build(tmp_path / "other", seed=6)
    for name in ("train", "prompts", "heldout"):
        one, again, other = (
            list(Dataset.open(path / name)) for path in (folder, tmp_path / "again", tmp_path / "other")
        )
        assert one == again
        assert [sample.messages for sample in one] != [sample.messages for sample in other]


def _as_a_team(team: Team, folder: Path) -> dict[str, Any]:
    return build_datasets(CONFIG, folder, seed=5, recipe_hash="hash", advance=quiet, team=team)


def test_a_team_makes_what_one_process_makes(built, tmp_path: Path) -> None:
    folder, summary, _ = built
    assert run_team(2, _as_a_team, (tmp_path / "data",)) == summary
    for name in SETS:
        assert list(Dataset.open(tmp_path / "data" / name)) == list(Dataset.open(folder / name))


def test_progress_counts_up_to_the_whole(tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    build(tmp_path, advance=lambda *values: told.append(values))
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert told[-1] == (186, 186, "datasets") and {total for _, total, _ in told} == {186}


# ---------------------------------------------------------------- again, and after an interruption


def test_datasets_that_are_there_are_not_made_again(built, monkeypatch) -> None:
    folder, summary, _ = built
    monkeypatch.setattr(pipeline_data, "build_item", lambda *arguments, **options: pytest.fail("an item was drawn"))
    assert is_built(folder)
    assert build(folder) == summary


def test_an_interruption_leaves_whole_datasets_only_and_the_rest_is_made_later(built, tmp_path, monkeypatch) -> None:
    folder, summary, _ = built

    def broken(source: str, *, index: int, **options: Any) -> WorldItem:
        if index == 10**6 + 3:
            raise KeyboardInterrupt
        return build_item(source, index=index, **options)

    monkeypatch.setattr(pipeline_data, "build_item", broken)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "data")
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["heldout", "train"]
    assert not is_built(tmp_path / "data")
    monkeypatch.undo()
    manifests = [tmp_path / "data" / name / "manifest.json" for name in ("heldout", "train")]
    before = [manifest.stat().st_mtime_ns for manifest in manifests]
    assert build(tmp_path / "data") == summary
    assert [manifest.stat().st_mtime_ns for manifest in manifests] == before
    for name in ("train", "prompts", "heldout"):
        assert list(Dataset.open(tmp_path / "data" / name)) == list(Dataset.open(folder / name))


# ---------------------------------------------------------------- WorldSamples and friends


def endless(**options: Any) -> WorldSamples:
    counts = {"world/counting": 3, "world/arithmetic": 10**9, "world/clip": 2}
    return WorldSamples(counts, CONFIG.world, seed=2, thinking_share=0.5, turns=2, **options)


def test_samples_are_made_when_asked_for_however_many_there_could_be() -> None:
    samples = endless()
    assert len(samples) == 10**9 + 5
    for index, expected in (
        (0, "world/counting/train-2-0"),
        (2, "world/counting/train-2-2"),
        (3, "world/arithmetic/train-2-0"),
        (10**9 + 2, "world/arithmetic/train-2-999999999"),
        (10**9 + 3, "world/clip/train-2-0"),
        (10**9 + 4, "world/clip/train-2-1"),
    ):
        assert samples[index].id == expected
    assert samples[1] == endless()[1]
    for index in (10**9 + 5, -1):
        with pytest.raises(IndexError, match=f"asked for number {index}"):
            samples[index]


def test_sources_are_known_without_making_samples() -> None:
    samples = WorldSamples({"world/clip": 2, "world/ocr": 1}, CONFIG.world, seed=0, thinking_share=0, turns=1)
    assert samples.sources == ["world/clip", "world/clip", "world/ocr"]
    assert [samples[index].source for index in range(3)] == samples.sources


def test_descriptions_stand_in_for_pictures() -> None:
    shown, told = endless()[0], endless(as_text=True)[0]
    assert shown.media and not told.media
    assert [message.role for message in shown.messages] == [message.role for message in told.messages]
    assert told.messages[0].text.endswith("\n" + shown.messages[0].text)


def test_hashes_are_those_of_all_pictures_of_an_item() -> None:
    items = {
        source: build_item(source, seed=0, index=0, split="train", config=CONFIG.world)
        for source in ("world/counting", "world/clip", "world/interleaved", "world/arithmetic")
    }
    pictures = [piece for piece in items["world/interleaved"].document if not isinstance(piece, str)]
    assert item_hashes(items["world/interleaved"]) == [phash64(picture) for picture in pictures]
    assert item_hashes(items["world/clip"]) == [phash64_clip(items["world/clip"].frames)]
    assert len(item_hashes(items["world/counting"])) == 1 and item_hashes(items["world/arithmetic"]) == []


def test_few_questions_of_an_item_are_drawn_the_same_each_time() -> None:
    first, again = (
        [
            sample.id
            for _, samples in heldout_questions({"world/grounding": 8}, CONFIG.world, seed=0, per_item=1)
            for sample in samples
        ]
        for _ in range(2)
    )
    assert first == again and len(first) == 8


def test_questions_of_imported_conversations_are_found_with_their_answers(tmp_path: Path) -> None:
    gold = {"How many?": {"kind": "count", "answer": 3}, "Where?": {"kind": "box", "answer": [1, 2, 3, 4]}}
    with DatasetWriter(tmp_path / "d") as writer:
        writer.add(Sample("photo", (small.user("How many?"), small.assistant("3")), meta={"golds": gold}))
        writer.add(Sample("bare", (small.user("Why?"), small.assistant("So."))))
    asked = list(asked_in_training(Dataset.open(tmp_path / "d")))
    assert [(s.messages[0].text, s.gold.kind, s.gold.answer) for s in asked if s.gold] == [
        ("How many?", "count", 3),
        ("Where?", "box", [1, 2, 3, 4]),
    ]
