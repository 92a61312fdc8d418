from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from mimovl.curate.world import build_item
from mimovl.data import Processor, Tokenizer
from mimovl.errors import MimovlError
from mimovl.generate import Engine
from mimovl.model import load_checkpoint, preset
from mimovl.pipeline import base as pipeline_base
from mimovl.pipeline.assets import embedded_base
from mimovl.pipeline.base import build_base, vocabulary_config
from mimovl.pipeline.config import BaseConfig, VisionBaseConfig
from mimovl.pipeline.progress import Display, StepProgress
from mimovl.pipeline.run import run
from mimovl.recipe import load_recipe, recipe_hash
from mimovl.train.checkpoint import save_training
from mimovl.types import IGNORE_INDEX, Request, SamplingParams
from tests import tiny
from tests.pipeline import micro

RECIPE: dict[str, Any] = {
    "name": "base",
    "base": {
        "tokenizer": {"vocab_size": 400, "samples": 60},
        "vision": {"sources": {"world/counting": 1, "world/clip": 1, "world/ocr": 1}, "steps": 3, "pictures": 4},
        "language": [
            {
                "name": name,
                "train": ["language"],
                "learning_rate": {"language": 1e-3},
                "mixture": {source: 1},
                "steps": 2,
                "length": 512,
            }
            for name, source in (("language", "world/counting"), ("reading", "world/arithmetic"))
        ],
    },
}
VISION = VisionBaseConfig.model_validate({**RECIPE["base"]["vision"], "steps": 4, "pictures": 3, "save_seconds": 1e-9})


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The run folder of a base recipe with a handful of steps."""
    folder = tmp_path_factory.mktemp("base")
    run(micro.write(folder / "base.yaml", RECIPE), folder / "out")
    return folder / "out"


# ---------------------------------------------------------------- the whole step


def test_a_handful_of_steps_makes_a_checkpoint_that_loads_and_answers(made: Path) -> None:
    folder = made / "base" / "model"
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.float16}  # noqa: SIM118
    model, processor = load_checkpoint(folder), Processor.load(folder)
    assert model.config.vision == preset("tiny").vision
    assert model.config.language.vocab_size == len(processor.tokenizer) <= 400
    question = tiny.questions("world/counting", 1)[0]
    ((completion,),) = Engine(model, processor).generate([Request(question, SamplingParams(max_tokens=4))])
    assert completion.tokens


def test_the_checkpoint_is_both_parts_together(made: Path) -> None:
    state = load_checkpoint(made / "base" / "model").state_dict()
    language = load_checkpoint(made / "base" / "reading" / "model").state_dict()
    vision = torch.load(made / "base" / "vision" / "vision.pt")
    for name, value in state.items():
        part, _, rest = name.partition(".")
        trained = vision[rest] if part == "vision" else language[name]
        assert torch.equal(value, trained.half().float()), name


def test_metrics_of_both_parts_are_kept(made: Path) -> None:
    vision = micro.lines(made / "base" / "vision" / "metrics.jsonl")
    assert [line["step"] for line in vision] == [1, 2, 3] and vision[-1]["images"] == 12
    assert {"loss", "accuracy", "grad_norm", "seconds"} <= set(vision[0])
    for stage, source in (("language", "world/counting"), ("reading", "world/arithmetic")):
        language = micro.lines(made / "base" / stage / "metrics.jsonl")
        assert [line["step"] for line in language] == [1, 2]
        assert {*language[0]["loss_by_source"]} == {source}
    done = json.loads((made / "base" / "done.json").read_text())
    assert set(done) == {"seconds", "vocabulary", "parameters"}


def test_a_base_can_be_shipped_and_names_its_recipe(made: Path) -> None:
    expected = recipe_hash(load_recipe(made.parent / "base.yaml").recipe)
    assert embedded_base(made / "base" / "model").recipe_hash == expected


def test_a_finished_base_is_not_made_again(made: Path, capsys) -> None:
    before = {path: path.stat().st_mtime_ns for path in (made / "base").rglob("*")}
    run(made.parent / "base.yaml", made)
    assert {path: path.stat().st_mtime_ns for path in (made / "base").rglob("*")} == before
    assert "done before" in capsys.readouterr().err


# ---------------------------------------------------------------- parts that fail


def _stop(*arguments: object) -> None:
    os._exit(3)


def _go_on(*arguments: object) -> None:
    time.sleep(60)


@pytest.mark.parametrize("part", ["vision", "language"])
def test_a_part_that_stops_ends_the_other_and_is_named(part: str, tmp_path: Path, monkeypatch) -> None:
    other = "language" if part == "vision" else "vision"
    monkeypatch.setattr(pipeline_base, f"_{part}_worker", _stop)
    monkeypatch.setattr(pipeline_base, f"_{other}_worker", _go_on)
    fork = multiprocessing.get_context("fork")  # quick; nothing of the library runs in these two
    monkeypatch.setattr(pipeline_base.multiprocessing, "get_context", lambda method: fork)
    config = BaseConfig.model_validate(RECIPE["base"])
    progress = StepProgress(Display(), "base parts")
    started = time.monotonic()
    with pytest.raises(MimovlError, match=f"the base {part} part stopped with exit code 3"):
        build_base(config, tiny.WORLD, "tiny", tmp_path / "base", seed=0, progress=progress)
    assert time.monotonic() - started < 30
    assert not (tmp_path / "base" / "done.json").exists()


# ---------------------------------------------------------------- the tokenizer


def test_the_tokenizer_is_learned_once_and_the_same_each_time(tmp_path: Path) -> None:
    config = BaseConfig.model_validate(RECIPE["base"])
    for name in ("one", "two"):
        pipeline_base._tokenizer(config, tiny.WORLD, tmp_path / name, 7)
    one, two = (tmp_path / name / "tokenizer" / "tokenizer.json" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    before = one.stat().st_mtime_ns
    pipeline_base._tokenizer(config, tiny.WORLD, tmp_path / "one", 8)
    assert one.stat().st_mtime_ns == before
    tokenizer = Tokenizer.from_folder(one.parent)
    shape = vocabulary_config(preset("tiny"), tokenizer)
    assert shape.language.vocab_size == len(tokenizer)
    assert shape.image_token_id == tokenizer.id("<|image_pad|>")
    assert (shape.eos_token_id, shape.pad_token_id) == (tokenizer.im_end, tokenizer.end_of_text)
    Processor.fresh(tokenizer, shape)


# ---------------------------------------------------------------- the vision tower


def train_vision(out: Path) -> dict[str, torch.Tensor]:
    pipeline_base._train_vision(tiny.model(), VISION, tiny.WORLD, out, 5)
    state: dict[str, torch.Tensor] = torch.load(out / "vision.pt")
    return state


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(value, two[name]) for name, value in one.items())


@pytest.mark.parametrize("after", [1, 3])
def test_the_tower_interrupted_and_resumed_is_the_same_to_the_bit(after: int, tmp_path: Path, monkeypatch) -> None:
    whole = train_vision(tmp_path / "whole")
    assert not same(whole, tiny.model().vision.state_dict())
    factor = pipeline_base.learning_rate_factor

    def plug(step: int, steps: int, **options: Any) -> float:
        if step == after:
            raise KeyboardInterrupt
        return factor(step, steps, **options)

    monkeypatch.setattr(pipeline_base, "learning_rate_factor", plug)
    with pytest.raises(KeyboardInterrupt):
        train_vision(tmp_path / "cut")
    monkeypatch.undo()
    assert same(train_vision(tmp_path / "cut"), whole)
    metrics = [
        [{**line, "seconds": 0} for line in micro.lines(tmp_path / name / "metrics.jsonl")] for name in ("whole", "cut")
    ]
    assert metrics[0] == metrics[1] and len(metrics[0]) == 4


def test_a_tower_that_had_done_its_last_step_takes_no_further_one(tmp_path: Path, monkeypatch) -> None:
    whole = train_vision(tmp_path / "whole")
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "metrics.jsonl").write_bytes((tmp_path / "whole" / "metrics.jsonl").read_bytes())

    def resume_at_the_end(out: Path, modules: dict[str, Any], optimizer: Any) -> dict[str, int]:
        modules["vision"].load_state_dict(whole)
        save_training(out, modules, optimizer, {"step": 4})
        return {"step": 4}

    monkeypatch.setattr(pipeline_base, "resume_training", resume_at_the_end)
    assert same(train_vision(tmp_path / "cut"), whole)
    assert len(micro.lines(tmp_path / "cut" / "metrics.jsonl")) == 4


def test_batches_go_on_where_a_step_left_off() -> None:
    first = list(itertools.islice(pipeline_base._annotated(VISION, tiny.WORLD, 3, 0), 3))
    resumed = list(itertools.islice(pipeline_base._annotated(VISION, tiny.WORLD, 3, 1), 2))
    for (patches, grid, targets), (other, other_grid, other_targets) in zip(first[1:], resumed, strict=True):
        assert torch.equal(patches, other) and torch.equal(grid, other_grid)
        assert same(targets.classes, other_targets.classes)


@pytest.mark.parametrize("source", ["world/counting", "world/gui", "world/ocr", "world/clip", "world/dense"])
def test_every_patch_of_a_picture_or_clip_has_a_target(source: str) -> None:
    item = build_item(source, seed=1, index=4, split="train", config=tiny.WORLD)
    patches, (frames, rows, columns), targets = pipeline_base._example(item)
    assert len(patches) == frames * rows * columns
    assert all(classes.shape == (len(patches),) for classes in targets.classes.values())
    for name, values in pipeline_base.VOCABULARY.items():
        classes = targets.classes[name]
        seen = classes[classes != IGNORE_INDEX]
        assert not len(seen) or int(seen.max()) < len(values), name
    if item.frames:
        assert frames == min(6, len(item.frames)) // 2


def test_an_object_of_a_clip_is_a_target_only_while_it_is_visible() -> None:
    kind = pipeline_base.VOCABULARY["kind"].index("shape")
    found = set()
    for index in range(12):
        item = build_item("world/clip", seed=1, index=index, split="train", config=tiny.WORLD)
        _, (frames, rows, columns), targets = pipeline_base._example(item)
        shown = (targets.classes["kind"].view(frames, rows * columns) == kind).any(dim=1).tolist()
        for pair, visible in enumerate(shown):
            expected = any(
                note.frames is None or note.frames[0] <= 2 * pair < note.frames[1] for note in item.annotations
            )
            assert visible == expected
            found.add(visible)
    assert found == {True, False}
