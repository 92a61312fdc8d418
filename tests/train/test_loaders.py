"""What a stage reads, and that it trains the same however it is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from pathlib import Path

import pytest
import torch

from mimovl.data import LoaderState, PairFolder, Preference, SampleFolders, build_index, side_by_side, write_pairs
from mimovl.data.loader_state import Dropped
from mimovl.errors import DataError
from mimovl.pipeline.inputs import IndexedSamples
from mimovl.store import Dataset, DatasetWriter
from mimovl.train import train_stage
from mimovl.train.loaders import DropList, data_digest, stage_loaders
from mimovl.types import Message, Part, Sample
from tests import tiny
from tests.interrupt import Interrupt, Plug

CLOCK = {"tokens_per_second", "images_per_second", "mfu", "peak", "data_wait", "seconds", "memory_mb"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    path = tmp_path_factory.mktemp("loaders") / "train"
    with DatasetWriter(path) as writer:
        for sample in tiny.mixed():
            writer.add(sample)
    return Dataset.open(path)


def figures(out) -> list[dict]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in CLOCK} for line in lines]


def loaders(samples, lanes=(0,), saved=(), *, seed=1, **changes):
    return stage_loaders(samples, tiny.processor(), tiny.stage(**changes), lanes, saved, seed=seed)


def batches(made, count: int) -> list[list[str]]:
    steps = side_by_side(made)
    taken = [batch.sample_ids for step in islice(steps, count) for batch, _ in step]
    steps.close()
    return taken


def test_without_a_word_on_loading_samples_are_encoded_as_they_are_drawn() -> None:
    (loader,) = loaders(tiny.mixed())
    assert (loader.by_length, loader.workers, loader.window, loader.ahead) == (False, 0, 48, 4)


def test_a_stages_words_on_loading_reach_its_loaders() -> None:
    loading = {"workers": 3, "ahead": 5, "window": 9, "too_long": "drop", "damaged": "drop"}
    first, second = loaders(tiny.mixed(), (1, 3), packs=4, loading=loading)
    assert (first.lane, second.lane) == ((1, 4), (3, 4))
    assert (first.workers, first.ahead, first.window, first.by_length) == (3, 5, 9, True)
    assert (first.work.too_long, first.work.damaged) == ("drop", "drop")


def test_a_stage_trains_to_the_same_losses_to_the_bit_with_workers_and_without(tmp_path, dataset) -> None:
    """The window is the default of a stage that says nothing, so that the packs are the same."""
    samples = IndexedSamples(dataset)
    ways = {"thread": None, "here": {"workers": 0, "window": 48}, "workers": {"workers": 2, "window": 48}}
    models = {
        name: train_stage(
            tiny.model(),
            tiny.processor(),
            samples,
            tiny.stage(packs=2, steps=3, loading=loading),
            tmp_path / name,
            seed=1,
        )
        for name, loading in ways.items()
    }
    assert figures(tmp_path / "here") == figures(tmp_path / "thread") == figures(tmp_path / "workers")
    for name, value in models["thread"].state_dict().items():
        assert torch.equal(value, models["workers"].state_dict()[name])
    waits = [
        json.loads(line)["data_wait"] for line in (tmp_path / "workers" / "metrics.jsonl").read_text().splitlines()
    ]
    assert all(wait > 0 for wait in waits)


def test_a_stage_that_streams_with_a_worker_is_stopped_and_goes_on_to_the_bit(tmp_path, dataset) -> None:
    folders = SampleFolders({"world": dataset.path})
    stage = tiny.stage(mixture={"world": 1}, steps=4, save_seconds=1e-6, loading={"workers": 1, "buffer": 12})

    def train(out, progress=None):
        return train_stage(tiny.model(), tiny.processor(), folders, stage, out, seed=1, progress=progress)

    train(tmp_path / "whole")
    with pytest.raises(Interrupt):
        train(tmp_path / "stopped", Plug(2))
    train(tmp_path / "stopped")
    assert figures(tmp_path / "stopped") == figures(tmp_path / "whole")


def test_an_index_of_lengths_in_the_datasets_folder_is_used(tmp_path) -> None:
    with DatasetWriter(tmp_path / "data") as writer:
        for sample in tiny.mixed():
            writer.add(sample)
    samples = IndexedSamples(Dataset.open(tmp_path / "data"))
    loading = {"workers": 0, "window": 16}
    (without,) = loaders(samples, loading=loading)
    index = build_index(samples, tiny.processor(), samples.path)
    (loader,) = loaders(samples, loading=loading)
    assert without.lengths is None and loader.lengths.tolist() == index.tokens.tolist()
    assert batches([without], 5) == batches([loader], 5)


def test_a_resume_point_of_another_number_of_packs_goes_on_with_what_was_left() -> None:
    samples = tiny.mixed()
    mixture = loaders(samples)[0].mixture
    saved = [LoaderState(6, (1, 2)).state_dict(), LoaderState(5, (3,)).state_dict()]
    after = loaders(samples, (0, 1, 2), saved, packs=3)
    left = [index for loader in after for index in loader.state.waiting]
    behind = list(islice(mixture.stream(), 12))[11]  # the draw of the second lane that only the first had reached
    assert sorted(left) == sorted([1, 2, 3, behind]) and {loader.state.next_draw for loader in after} == {4}
    (same,) = loaders(samples, (0,), saved[:1])
    assert same.state == LoaderState(6, (1, 2))


def test_a_sample_too_long_is_dropped_counted_and_listed_by_the_stage(tmp_path, dataset) -> None:
    sizes = {sample.id: tiny.processor().encode(sample).num_tokens for sample in dataset}
    limit = sorted(sizes.values())[-4]
    changes = {"length": limit, "steps": 8, "loading": {"workers": 0, "too_long": "drop", "window": 8}}
    train_stage(tiny.model(), tiny.processor(), IndexedSamples(dataset), tiny.stage(**changes), tmp_path, seed=1)
    entries = [json.loads(line) for line in (tmp_path / "dropped.jsonl").read_text().splitlines()]
    assert entries and len({entry["id"] for entry in entries}) == len(entries)
    for entry in entries:
        assert sizes[entry["id"]] > limit and entry["reason"] == "too_long"
        assert entry["detail"] == f"{sizes[entry['id']]} tokens, a pack holds {limit}"
    done = json.loads((tmp_path / "done.json").read_text())
    assert done["dropped"]["too_long"] >= len(entries)
    changes["loading"] = {"workers": 0, "window": 8}
    with pytest.raises(DataError, match=rf"tokens, a pack holds {limit}; raise the stage's length"):
        train_stage(
            tiny.model(), tiny.processor(), IndexedSamples(dataset), tiny.stage(**changes), tmp_path / "b", seed=1
        )


@dataclass
class Loader:
    dropped: list[Dropped] = field(default_factory=list)


def test_the_list_of_drops_names_each_sample_once_also_when_resumed(tmp_path) -> None:
    one, two = Loader(), Loader()
    drops = DropList(tmp_path)
    one.dropped.append(Dropped("图", "too_long", "9 tokens"))
    drops.update([one, two])
    two.dropped += [Dropped("图", "too_long", "9 tokens"), Dropped("b", "damaged", "x")]
    drops.update([one, two])
    drops.update([one, two])
    with (tmp_path / "dropped.jsonl").open("a") as file:
        file.write('{"id": "torn')
    resumed = DropList(tmp_path)
    two.dropped.append(Dropped("c", "damaged", "x"))
    resumed.update([two])
    lines = (tmp_path / "dropped.jsonl").read_text().splitlines()
    assert lines[2] == '{"id": "torn'
    assert [json.loads(line)["id"] for line in (*lines[:2], *lines[3:])] == ["图", "b", "c"]


# ---------------------------------------------------------------- data that processes compare


def digest(samples) -> str:
    return data_digest(samples, loaders(samples, mixture={"world/counting": 1, "world/clip": 1}))


def changed(sample: Sample) -> Sample:
    """With another answer of as many letters."""
    answer = Message("assistant", (Part("text", sample.messages[-1].text.swapcase()),))
    return replace(sample, messages=(*sample.messages[:-1], answer))


def written(path: Path, samples: tiny.Samples, recipe_hash: str = "") -> IndexedSamples:
    with DatasetWriter(path, recipe_hash=recipe_hash) as writer:
        for sample in samples:
            writer.add(sample)
    return IndexedSamples(Dataset.open(path))


def test_data_with_the_same_ids_and_other_words_or_pictures_are_told_apart() -> None:
    samples = tiny.mixed()
    assert digest(samples) == digest(tiny.mixed()) and "36 samples, the first drawn is world/" in digest(samples)
    assert digest(tiny.Samples(changed(sample) for sample in samples)) != digest(samples)
    pictures = [next(iter(sample.media.items())) for sample in samples if len(sample.media) == 1]
    other = tiny.Samples(replace(sample, media=dict(pictures[:1])) if sample.media else sample for sample in samples)
    assert digest(other) != digest(samples)


def test_data_in_memory_is_compared_beyond_the_first_draws() -> None:
    samples = tiny.samples("world/counting", 60)
    mixture = {"world/counting": 1}
    made = loaders(samples, mixture=mixture)
    drawn = set(islice(made[0].mixture.stream(), 32))
    other = tiny.Samples(one if number in drawn else changed(one) for number, one in enumerate(samples))
    assert data_digest(other, loaders(other, mixture=mixture)) != data_digest(samples, made)


@pytest.mark.parametrize("opened", [lambda data: data, lambda data: SampleFolders({"world/counting": data.path})])
def test_folders_of_other_files_are_told_apart_by_their_manifests_alone(opened: Callable, tmp_path: Path) -> None:
    samples = tiny.samples("world/counting", 60)
    drawn = set(islice(loaders(samples, mixture={"world/counting": 1})[0].mixture.stream(), 32))
    late = next(number for number in range(60) if number not in drawn)
    other = tiny.Samples([*samples[:late], changed(samples[late]), *samples[late + 1 :]])
    folders = [written(tmp_path / "a", samples), written(tmp_path / "b", samples), written(tmp_path / "c", other)]
    mixture = {"world/counting": 1}
    one, same, third = (data_digest(data, loaders(data, mixture=mixture)) for data in map(opened, folders))
    assert one == same != third


def test_a_dataset_made_by_another_recipe_is_told_apart(tmp_path: Path) -> None:
    samples = tiny.mixed()
    assert digest(written(tmp_path / "a", samples, "one")) != digest(written(tmp_path / "b", samples, "two"))


def test_pairs_are_told_apart_by_their_files_and_answers(tmp_path: Path) -> None:
    def pairs(name: str, chosen: str) -> PairFolder:
        (tmp_path / name).mkdir()
        asked = [replace(sample, messages=sample.messages[:1]) for sample in tiny.samples("world/arithmetic", 4)]
        values = [{one.name: getattr(sample, one.name) for one in fields(Sample)} for sample in asked]
        write_pairs(tmp_path / name, [Preference(**value, chosen=chosen, rejected="no") for value in values])
        return PairFolder(tmp_path / name)

    digests = []
    for name, chosen in (("a", "yes"), ("b", "yes"), ("c", "yep")):
        made = pairs(name, chosen)
        digests.append(data_digest(made, loaders(made, mixture={"world/arithmetic": 1})))
    assert digests[0] == digests[1] != digests[2]
