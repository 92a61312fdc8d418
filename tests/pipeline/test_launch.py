"""A whole run in the processes that torchrun starts."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mimovl.errors import RecipeError
from mimovl.pipeline.launch import launch
from mimovl.recipe import Recipe
from mimovl.team import Team
from tests.pipeline import micro

ROOT = Path(__file__).parents[2]


def torchrun(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The command in two processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "mimovl"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, timeout=300, env=environment
    )


def test_a_run_under_torchrun_is_that_of_one_process(micro_run: Path, tmp_path: Path) -> None:
    done = torchrun("run", micro_run.parent / "micro.yaml", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    whole, shared = micro.figures(micro_run), micro.figures(tmp_path / "out")
    assert whole.keys() == shared.keys()
    for name in whole:
        if name.endswith("answers.jsonl"):
            assert shared[name] == whole[name]
    rewards = [[line["reward"] for line in one["3-morl/metrics.jsonl"]] for one in (whole, shared)]
    assert rewards[0] == rewards[1]
    losses = [[line["loss"] for line in one["2-general/metrics.jsonl"]] for one in (whole, shared)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_run_follows_the_recipes_parallel_section_and_goes_on_with_the_rest(tiny_trained, tmp_path: Path) -> None:
    values = micro.recipe(tiny_trained, parallel={"fsdp": "full"})
    for stage in values["stages"]:
        stage |= {"packs": 2, "optimizer": {"name": "adamw"}}
    done = torchrun("run", micro.write(tmp_path / "divided.yaml", values), "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "3-morl" / "done.json").is_file() and (tmp_path / "out" / "report.html").is_file()


def _nothing(team: Team, recipe: Recipe, folder: Path) -> Path:
    return folder


def test_a_recipe_may_be_refused_before_anything_is_made(micro_run: Path, tmp_path: Path) -> None:
    def refuse(recipe: Recipe) -> None:
        raise RecipeError(f"{recipe.name} is not for today")

    with pytest.raises(RecipeError, match="micro is not for today"):
        launch(_nothing, micro_run.parent / "micro.yaml", tmp_path / "out", check=refuse)
    assert not (tmp_path / "out").exists()
    assert launch(_nothing, micro_run.parent / "micro.yaml", tmp_path / "out") == tmp_path / "out"


def _holds(team: Team, recipe: Recipe, folder: Path) -> Path:
    with (folder / ".lock").open() as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return folder


@pytest.mark.parametrize("workers", [1, 2])
def test_the_runs_folder_is_held_while_work_is_done_and_no_longer(workers: int, micro_run, tmp_path) -> None:
    out = launch(_holds, micro_run.parent / "micro.yaml", tmp_path / "out", [f"workers={workers}"])
    with (out / ".lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
