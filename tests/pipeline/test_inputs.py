from __future__ import annotations

import json
import pickle
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from mimovl.data import SampleFolders
from mimovl.errors import DataError, RecipeError, UsageError
from mimovl.pipeline.config import DataConfig
from mimovl.pipeline.inputs import IndexedSamples, Prompts, check_mixture, training_samples
from mimovl.pipeline.run import run
from mimovl.recipe import load_recipe
from mimovl.rl import PromptSource, RLConfig
from mimovl.store import Dataset, DatasetWriter
from mimovl.types import Sample
from tests import tiny
from tests.data import parquet_samples as plain
from tests.pipeline import micro


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("inputs") / "train"
    with DatasetWriter(path) as writer:
        for sample in tiny.samples("world/counting", 8):
            writer.add(sample)
    return path


def test_an_indexed_dataset_tells_its_sources_and_can_be_peeked_at(dataset) -> None:
    samples = training_samples(DataConfig(), dataset, tiny.stage())
    assert isinstance(samples, IndexedSamples)
    assert samples.sources == ["world/counting"] * 8 and len(samples) == 8 and samples.path == dataset
    assert samples.peek(3)[0].id == samples[3].id
    copy = pickle.loads(pickle.dumps(samples))
    assert copy[3] == samples[3] and copy.sources == []


def test_folders_named_in_the_recipe_are_streamed_with_the_stages_policy(dataset, tmp_path) -> None:
    plain.write_folder(tmp_path / "web", 12)
    config = DataConfig(sources={"ours": str(dataset), "web": str(tmp_path / "web")})
    samples = training_samples(config, Path("unused"), tiny.stage())
    assert isinstance(samples, SampleFolders) and samples.counts == {"ours": 8, "web": 12}
    (tmp_path / "web" / "train-00000-of-00003.parquet").write_bytes(b"?")
    with pytest.raises(DataError, match="source web: .*train-00000-of-00003.parquet cannot be read"):
        training_samples(config, Path("unused"), tiny.stage())
    rest = training_samples(config, Path("unused"), tiny.stage(loading={"damaged": "drop"}))
    assert rest.counts == {"ours": 8, "web": 8}


def test_a_mixture_of_what_is_not_there_names_the_stage(dataset) -> None:
    with pytest.raises(DataError, match="stage general: the mixture names source 'b'; the dataset has: a"):
        check_mixture("stage general", {"b": 1}, ["a", "a"], seed=0)
    with pytest.raises(DataError, match="stage general: the mixture names source 'b'; the dataset has: a"):
        check_mixture("stage general", {"b": 1}, SampleFolders({"a": dataset}), seed=0)
    check_mixture("stage general", {"a": 1}, ["a"], seed=0)


@pytest.mark.parametrize("also", [{"imported": "x"}, {"train": {"world/counting": 1}}, {"sources": {}}])
def test_sources_stand_alone(also) -> None:
    with pytest.raises(ValueError, match="sources names at least one folder, and stands alone"):
        DataConfig(**{"sources": {"a": "b"}, **also})


def recipe(start: Path, sources: dict[str, str], **stage) -> dict:
    values = micro.recipe(start, data={"sources": sources}, evaluate={})
    del values["rl"]
    values["stages"] = [
        {**values["stages"][1], "mixture": {"ours": 1, "web": 2}, "loading": {"workers": 1, "ahead": 2}, **stage}
    ]
    return values


def test_a_run_streams_from_folders_with_workers_and_resumes(dataset, tmp_path, tiny_start) -> None:
    """A missing folder is one error before anything is trained; what a recipe without them hashes to is untouched."""
    plain.write_folder(tmp_path / "web", 12)
    sources = {"ours": str(dataset), "web": str(tmp_path / "web")}
    path = micro.write(tmp_path / "r.yaml", recipe(tiny_start, sources))
    run(path, tmp_path / "out")
    lines = micro.lines(tmp_path / "out" / "1-general" / "metrics.jsonl")
    assert len(lines) == 4 and set(lines[-1]["loss_by_source"]) <= {"world/counting", "web"}
    assert all(line["data_wait"] > 0 for line in lines)
    done = json.loads((tmp_path / "out" / "1-general" / "done.json").read_text())
    assert done["steps"] == 4 and done["dropped"] == {}


def test_a_missing_folder_is_one_error_before_anything_is_trained(dataset, tmp_path, tiny_start) -> None:
    path = micro.write(tmp_path / "r.yaml", recipe(tiny_start, {"ours": str(dataset), "web": str(tmp_path / "no")}))
    with pytest.raises(UsageError, match="no: no such folder of samples"):
        run(path, tmp_path / "out")
    assert not list((tmp_path / "out").glob("1-*"))


def test_loading_and_sources_are_explained_and_checked_as_all_of_a_recipe(tmp_path, tiny_start) -> None:
    path = micro.write(tmp_path / "r.yaml", recipe(tiny_start, {"ours": "a", "web": "b"}, loading={"worker": 1}))
    with pytest.raises(RecipeError, match="worker"):
        load_recipe(path)


def test_the_dataset_behind_it_is_the_one_that_was_given(dataset) -> None:
    assert IndexedSamples(Dataset.open(dataset))[0] == Dataset.open(dataset)[0]


def write(path: Path, samples: Iterable[Sample]) -> Path:
    with DatasetWriter(path) as writer:
        for sample in samples:
            writer.add(sample)
    return path


def test_questions_of_several_datasets_are_asked_without_their_answers(dataset, tmp_path) -> None:
    other = write(tmp_path / "other", tiny.samples("world/grounding", 3))
    prompts = Prompts([dataset, other])
    once = len(Dataset.open(dataset))
    assert len(prompts) == len(prompts.tasks) == len(prompts.ids) == once + 3
    assert all(sample.messages[-1].role == "user" for sample in prompts)
    assert [(one.id, one.task) for one in prompts] == list(zip(prompts.ids, prompts.tasks, strict=True))
    assert prompts[-1].id == tiny.samples("world/grounding", 3)[-1].id
    with pytest.raises(UsageError, match="nowhere: no such dataset"):
        Prompts([dataset / "nowhere"])


def test_prompts_of_one_id_are_refused_with_the_names_of_both_their_folders(dataset, tmp_path) -> None:
    taken = replace(tiny.samples("world/grounding", 1)[0], id=Dataset.open(dataset).ids[5])
    other = write(tmp_path / "other", [taken])
    with pytest.raises(DataError, match=rf"{dataset} and {other} both have a sample '{taken.id}', .* with other ids"):
        Prompts([dataset, other])
    for again in (dataset, dataset.parent / "." / ".." / dataset.parent.name / dataset.name):
        with pytest.raises(DataError, match=r"prompt_folders names .*train twice; name each folder once"):
            Prompts([dataset, again])


def test_choosing_among_prompts_reads_no_picture_but_those_of_the_ones_chosen(dataset, monkeypatch) -> None:
    read: list[str] = []
    media = Dataset._read_media
    monkeypatch.setattr(Dataset, "_read_media", lambda self, key: read.append(key) or media(self, key))
    values = {"tasks": {"counting": 1}, "steps": 1, "learning_rate": {"language": 1}, "train": ["language"]}
    source = PromptSource(Prompts([dataset]), RLConfig.model_validate(values), seed=0)
    assert read == []
    asked = source.draw(0, 2)
    assert read == [key for request in asked for key in request.sample.media]
