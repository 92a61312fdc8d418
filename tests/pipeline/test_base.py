from __future__ import annotations

import json
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from mimovl.data import Processor, Tokenizer
from mimovl.errors import MimovlError
from mimovl.generate import Engine
from mimovl.model import load_checkpoint, preset
from mimovl.pipeline import base as pipeline_base
from mimovl.pipeline.assets import embedded_base
from mimovl.pipeline.base import build_base
from mimovl.pipeline.config import BaseConfig
from mimovl.pipeline.progress import Display, StepProgress
from mimovl.pipeline.run import run
from mimovl.recipe import load_recipe, recipe_hash
from mimovl.types import Request, SamplingParams
from tests import tiny
from tests.pipeline import micro

RECIPE: dict[str, Any] = {
    "name": "base",
    "workers": 2,
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
            for name, source in (("recall", "world/counting"), ("language", "world/arithmetic"))
        ],
        "reading": [
            {
                "name": name,
                "train": ["language", "attributes"],
                "learning_rate": {"language": 1e-3, "attributes": 1e-3},
                "mixture": {"world/counting": 1, "world/clip": 1},
                "steps": 2,
                "packs": 2,
                "length": 512,
                "most": most,
            }
            for name, most in (("one-thing", 1), ("all-things", None))
        ],
    },
}


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
    language = load_checkpoint(made / "base" / "all-things" / "model").state_dict()
    vision = torch.load(made / "base" / "vision" / "vision.pt")
    for name, value in state.items():
        part, _, rest = name.partition(".")
        trained = vision[rest] if part == "vision" else language[name]
        assert torch.equal(value, trained.half().float()), name


def test_metrics_of_both_parts_are_kept(made: Path) -> None:
    vision = micro.lines(made / "base" / "vision" / "metrics.jsonl")
    assert [line["step"] for line in vision] == [1, 2, 3] and vision[-1]["images"] == 12
    assert {"loss", "accuracy", "grad_norm", "seconds"} <= set(vision[0])
    for stage, source in (("recall", "world/counting"), ("language", "world/arithmetic")):
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


def worker(part: str) -> str:
    return {"vision": "vision_worker", "language": "_language_worker"}[part]


def _stop(*arguments: object) -> None:
    os._exit(3)


def _go_on(*arguments: object) -> None:
    time.sleep(60)


@pytest.mark.parametrize("part", ["vision", "language"])
def test_a_part_that_stops_ends_the_other_and_is_named(part: str, tmp_path: Path, monkeypatch) -> None:
    other = "language" if part == "vision" else "vision"
    monkeypatch.setattr(pipeline_base, worker(part), _stop)
    monkeypatch.setattr(pipeline_base, worker(other), _go_on)
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
        pipeline_base.make_tokenizer(config, tiny.WORLD, tmp_path / name, 7)
    one, two = (tmp_path / name / "tokenizer" / "tokenizer.json" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    before = one.stat().st_mtime_ns
    pipeline_base.make_tokenizer(config, tiny.WORLD, tmp_path / "one", 8)
    assert one.stat().st_mtime_ns == before
    tokenizer = Tokenizer.from_folder(one.parent)
    shape = Processor.fresh(tokenizer, preset("tiny")).config
    assert shape.language.vocab_size == len(tokenizer)
    assert shape.image_token_id == tokenizer.id("<|image_pad|>")
    assert (shape.eos_token_id, shape.pad_token_id) == (tokenizer.im_end, tokenizer.end_of_text)
