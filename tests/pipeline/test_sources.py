from __future__ import annotations

from pathlib import Path

import pytest

from mimovl.errors import DataError, UsageError
from mimovl.pipeline.run import run
from mimovl.pipeline.sources import TrainingSamples, open_sources
from mimovl.store import Dataset, DatasetWriter
from tests import tiny
from tests.pipeline import micro
from tests.store_samples import picture, sample


def dataset(folder: Path, *numbers: int) -> Path:
    with DatasetWriter(folder) as writer:
        for number in numbers:
            writer.add(sample(number, picture(number)))
    return folder


def test_a_source_is_called_what_the_recipe_calls_it(tmp_path: Path) -> None:
    folders = {"ocr": str(dataset(tmp_path / "a", 1, 2)), "gui": str(dataset(tmp_path / "b", 3))}
    samples = open_sources(folders)
    assert (len(samples), samples.sources) == (3, ["ocr", "ocr", "gui"])
    assert [(samples[n].id, samples[n].source) for n in range(3)] == [("s1", "ocr"), ("s2", "ocr"), ("s3", "gui")]
    assert samples[2].media == Dataset.open(tmp_path / "b")[0].media
    for outside in (-1, 3):
        with pytest.raises(IndexError, match="there are 3 samples"):
            samples[outside]


def test_without_names_each_sample_keeps_its_source(tmp_path: Path) -> None:
    one = Dataset.open(dataset(tmp_path / "a", 1, 2))
    samples = TrainingSamples([(None, one)])
    assert samples.sources == ["world/counting"] * 2
    assert samples[1] == one[1]


def test_an_empty_source_takes_no_place(tmp_path: Path) -> None:
    folders = {"none": str(dataset(tmp_path / "a")), "gui": str(dataset(tmp_path / "b", 3))}
    samples = open_sources(folders)
    assert (samples.sources, samples[0].id) == (["gui"], "s3")


def test_missing_folders_are_named_with_the_field_and_the_cure(tmp_path: Path) -> None:
    folders = {"ocr": str(dataset(tmp_path / "a", 1)), "gui": "nowhere/gui", "text": "nowhere/text"}
    with pytest.raises(UsageError) as caught:
        open_sources(folders)
    assert str(caught.value) == (
        "2 of 3 dataset folders are not there (data.sources.gui: nowhere/gui, data.sources.text: nowhere/text); put "
        "the datasets there, or say where they are with --set data.sources.gui=FOLDER"
    )


def test_of_many_missing_folders_a_few_are_named_and_all_counted() -> None:
    with pytest.raises(UsageError, match=r"9 of 9 .* \(data.sources.s0: x, .*data.sources.s2: x and 6 more\)"):
        open_sources({f"s{number}": "x" for number in range(9)})


def test_an_unfinished_dataset_is_named_with_its_field(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"data.sources.ocr: {tmp_path}: no manifest.json"):
        open_sources({"ocr": str(tmp_path)})


def test_a_run_trains_on_its_sources_and_logs_the_loss_of_each(tiny_start: Path, tmp_path: Path) -> None:
    folders = {}
    for name, source in (("counts", "world/counting"), ("sums", "world/arithmetic")):
        folders[name] = str(tmp_path / name)
        with DatasetWriter(folders[name]) as writer:
            for one in tiny.samples(source, 8):
                writer.add(one)
    stage = {
        "name": "general",
        "train": ["projector"],
        "learning_rate": {"projector": 1e-3},
        "mixture": {"counts": 1, "sums": 1},
        "tokens": 1024,
        "length": 512,
    }
    values = {"name": "sources", "start": str(tiny_start), "data": {"sources": folders}, "stages": [stage]}
    run(micro.write(tmp_path / "r.yaml", values), tmp_path / "out")
    lines = micro.lines(tmp_path / "out" / "1-general" / "metrics.jsonl")
    assert len(lines) == 2
    assert {name for line in lines for name in line["loss_by_source"]} == {"counts", "sums"}


def test_a_run_looks_for_its_sources_before_it_makes_anything(tiny_start: Path, tmp_path: Path) -> None:
    values = micro.recipe(tiny_start)
    values["stages"] = values["stages"][:1]
    values["stages"][0]["mixture"] = {"ocr": 1}
    values |= {"data": {"sources": {"ocr": "nowhere"}}, "rl": None, "evaluate": {}}
    with pytest.raises(UsageError, match="1 of 1 dataset folders are not there"):
        run(micro.write(tmp_path / "r.yaml", values), tmp_path / "out")
    assert not (tmp_path / "out").exists()
