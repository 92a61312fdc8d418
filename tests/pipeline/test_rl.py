"""``mimovl rl``: the reinforcement learning of a run alone, after its stages and from any checkpoint."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml

from mimovl.errors import Stopped, UsageError
from mimovl.pipeline import rl as pipeline_rl
from mimovl.pipeline.rl import Places, Reinforcement, reinforce
from mimovl.store import Dataset
from tests.pipeline import micro

ROOT = Path(__file__).parents[2]


@pytest.fixture
def recipe(micro_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(micro_run.parent / "micro.yaml", tmp_path))


def test_after_its_stages_it_does_what_the_whole_run_does_to_the_bit(recipe: Path, micro_run: Path) -> None:
    out = Path(shutil.copytree(micro_run, recipe.parent / "out"))
    shutil.rmtree(out / "3-morl")
    reinforce(recipe, out)
    assert micro.figures(out) == micro.figures(micro_run)
    weights = "3-morl/model/model.safetensors"
    assert (out / weights).read_bytes() == (micro_run / weights).read_bytes()


def test_it_begins_from_any_checkpoint(recipe: Path, micro_run: Path) -> None:
    out, start = recipe.parent / "out", micro_run / "2-general" / "model"
    reinforce(recipe, out, start=start)
    whole, alone = micro.figures(micro_run), micro.figures(out)
    assert alone["1-morl/metrics.jsonl"] == whole["3-morl/metrics.jsonl"]


@pytest.mark.parametrize("name", ["a: b #c", 'say "x" \\n', "- {ü}", "12"])
def test_a_start_may_have_any_name(recipe: Path, micro_run: Path, monkeypatch, name: str) -> None:
    monkeypatch.chdir(recipe.parent)
    shutil.copytree(micro_run / "2-general" / "model", name)
    done: list[str] = []
    monkeypatch.setattr(Reinforcement, "run", lambda self: done.append(self.recipe.start))
    monkeypatch.setattr("mimovl.pipeline.run.write_report", lambda folder: folder)
    reinforce(recipe, recipe.parent / "out", ["workers=1"], start=Path(name))
    assert done == [name]


def test_on_a_cluster_the_recipes_picture_size_trackers_and_heldout_questions_count_as_everywhere(
    recipe: Path, micro_run: Path, monkeypatch
) -> None:
    given: dict[str, Any] = {}

    def train_on_ray(checkpoint, prompts, config, out, places, **options) -> None:
        given.update(options)

    monkeypatch.setattr(pipeline_rl, "train_on_ray", train_on_ray)
    monkeypatch.setattr(pipeline_rl, "joined_cluster", lambda *arguments: nullcontext())
    monkeypatch.setattr("mimovl.pipeline.run.write_report", lambda folder: folder)
    overrides = ["data.max_pixels=6272", "tracking={project: vision}", "rl.monitors={heldout: {}}"]
    out, start = recipe.parent / "out", micro_run / "2-general" / "model"
    reinforce(recipe, out, overrides, start=start, cluster="local")
    assert given["processor"].image.max_pixels == 6272
    assert given["tracking"].config.project == "vision" and given["tracking"].folder == out
    assert [sample.id for sample in given["heldout"]] == Dataset.open(out / "data" / "heldout").ids


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        (
            "rl.rollout.servers=[http://one]",
            "--ray places .* engines of its own, and rl.rollout.servers names http://one",
        ),
        ("rl.slots=11", "rl.slots 11 over 2 engines are 6 each, and a group is 8 samples"),
    ],
)
def test_what_a_cluster_cannot_do_is_refused_before_anything_is_made(recipe: Path, override, complaint) -> None:
    out = recipe.parent / "out"
    with pytest.raises(UsageError, match=complaint):
        reinforce(recipe, out, [override, "rl.samples=8"], cluster="local", places=Places(2, 2))
    assert not (out / "data").exists()


def test_stages_that_are_not_done_are_named_with_the_cure(recipe: Path) -> None:
    with pytest.raises(UsageError, match=r"1-projector is not finished: mimovl train .* --start CHECKPOINT"):
        reinforce(recipe, recipe.parent / "out")
    with pytest.raises(UsageError, match="has no section rl"):
        reinforce(recipe, recipe.parent / "other", ["rl=null"])


def test_asked_to_end_it_saves_and_leaves_and_goes_on(recipe: Path, micro_run: Path, monkeypatch) -> None:
    out, start = recipe.parent / "out", micro_run / "2-general" / "model"
    with monkeypatch.context() as patch:
        micro.ask_to_end(patch, "stage 1 morl", 2)
        with pytest.raises(Stopped, match=r"stopped as asked \(SIGTERM\) after step 2 of 3; saved in .*1-morl"):
            reinforce(recipe, out, start=start)
    reinforce(recipe, out, start=start)
    assert micro.figures(out)["1-morl/metrics.jsonl"] == micro.figures(micro_run)["3-morl/metrics.jsonl"]


def test_a_start_takes_the_place_of_the_recipes_own_base(recipe: Path, micro_run: Path) -> None:
    values = yaml.safe_load(recipe.read_text())
    own = yaml.safe_load((ROOT / "recipes" / "tiny-base.yaml").read_text())["base"]
    micro.write(recipe, {**values, "base": own})
    out = recipe.parent / "out"
    reinforce(recipe, out, start=micro_run / "2-general" / "model")
    assert not (out / "base").exists()
    assert micro.figures(out)["1-morl/metrics.jsonl"] == micro.figures(micro_run)["3-morl/metrics.jsonl"]
