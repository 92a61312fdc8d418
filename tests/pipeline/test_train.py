"""``mimovl train``: the stages of a run, alone and under torchrun, killed, asked to end, and resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mimovl.errors import RecipeError, Stopped
from mimovl.pipeline.run import run
from mimovl.pipeline.train import train
from mimovl.train import spread
from tests.pipeline import micro

ROOT = Path(__file__).parents[2]
STAGES = ("1-projector", "2-general")

KILLS_ITSELF = """
import os, signal
from mimovl.cli import main
from mimovl.pipeline import progress
update = progress.StepProgress.update

def deadly(self, done, total, text):
    update(self, done, total, text)
    if self.title == "stage 2 general" and done == 3:
        os.kill(os.getpid(), signal.SIGKILL)

progress.StepProgress.update = deadly
if __name__ == "__main__":
    main()
"""


def stages(start: Path | str, **changes: Any) -> dict[str, Any]:
    """The recipe of the finished run, without what only that needs."""
    return micro.recipe(start, **changes)


def of_stages(out: Path) -> dict[str, list[dict[str, Any]]]:
    return {name: lines for name, lines in micro.figures(out).items() if name.startswith(STAGES)}


def same_as(out: Path, other: Path) -> None:
    """The stages of two runs, to the bit."""
    assert of_stages(out) == of_stages(other) and of_stages(out)
    for stage in STAGES:
        weights = "model/model.safetensors"
        assert (out / stage / weights).read_bytes() == (other / stage / weights).read_bytes()


@pytest.fixture
def recipe(micro_run: Path, tmp_path: Path) -> Path:
    """The recipe of the finished run, for a run of its own."""
    path = tmp_path / "micro.yaml"
    path.write_bytes((micro_run.parent / "micro.yaml").read_bytes())
    return path


def test_alone_it_gives_the_stages_of_a_run_to_the_bit_and_the_run_goes_on_from_there(recipe, micro_run, tmp_path):
    out = tmp_path / "out"
    train(recipe, out)
    same_as(out, micro_run)
    assert not list(out.glob("*/resume")) and not (out / "3-morl").exists() and not (out / "evaluate").exists()
    before = (out / "2-general" / "done.json").stat().st_mtime_ns
    train(recipe, out)
    assert (out / "2-general" / "done.json").stat().st_mtime_ns == before
    run(recipe, out)
    assert micro.figures(out).keys() == micro.figures(micro_run).keys()
    assert micro.figures(out) == micro.figures(micro_run)


def test_killed_it_goes_on_and_ends_as_if_nothing_had_happened(recipe, micro_run, tmp_path) -> None:
    out, script = tmp_path / "out", tmp_path / "kills_itself.py"
    script.write_text(KILLS_ITSELF, encoding="utf-8")
    ended = subprocess.run([sys.executable, script, "train", recipe, "--out", out], capture_output=True, timeout=300)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert list((out / "2-general" / "resume").glob("step-*")) and not (out / "2-general" / "done.json").exists()
    train(recipe, out)
    same_as(out, micro_run)


def test_asked_to_end_it_saves_and_leaves_and_goes_on(recipe, micro_run, tmp_path, monkeypatch) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        micro.ask_to_end(patch, "stage 2 general", 2)
        with pytest.raises(Stopped, match=r"stopped as asked \(SIGTERM\) after step 2 of 4; saved in .*2-general"):
            train(recipe, out)
    assert (out / "2-general" / "resume" / "step-0000002" / ".metadata").is_file()
    train(recipe, out)
    same_as(out, micro_run)


def test_asked_to_end_while_a_stage_is_written_it_leaves_before_the_next(
    recipe, micro_run, tmp_path, monkeypatch
) -> None:
    """After a stage's last step nobody asks any more, and hours of the next one may be ahead."""
    out, finish = tmp_path / "out", spread.finish_step

    def asked(*arguments: Any, **options: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        finish(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(spread, "finish_step", asked)
        with pytest.raises(Stopped, match=r"stopped as asked \(SIGTERM\) after stage 1 projector, which is finished"):
            train(recipe, out)
    assert (out / "1-projector" / "done.json").is_file() and not (out / "2-general").exists()
    train(recipe, out)
    same_as(out, micro_run)


def torchrun(arguments: list[object], *, script: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command in two processes."""
    program = [str(script)] if script else ["-m", "mimovl"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *program]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    return subprocess.run(
        [*command, "train", *map(str, arguments)], capture_output=True, text=True, timeout=300, env=environment
    )


@pytest.fixture
def divided(tiny_trained: Path, tmp_path: Path) -> Path:
    """The stages of a recipe whose parameters FSDP2 divides; gloo on the CPU."""
    values = micro.recipe(tiny_trained, parallel={"fsdp": "full"}, rl=None, evaluate={})
    for stage in values["stages"]:
        stage["packs"] = 2
    return micro.write(tmp_path / "divided.yaml", values)


def test_under_torchrun_it_gives_the_losses_of_one_process(divided: Path, tmp_path: Path) -> None:
    out, alone = tmp_path / "out", tmp_path / "alone"
    ended = torchrun([divided, "--out", out])
    assert ended.returncode == 0, ended.stderr
    train(divided, alone, ["parallel.fsdp=off"])
    for stage in STAGES:
        ours, theirs = (micro.lines(folder / stage / "metrics.jsonl") for folder in (out, alone))
        assert [line["tokens"] for line in ours] == [line["tokens"] for line in theirs] and ours
        # Stage 2 is Muon's, whose bfloat16 iteration widens differences of rounding.
        tolerance = 1e-5 if stage == "1-projector" else 1e-3
        assert [line["loss"] for line in ours] == pytest.approx([line["loss"] for line in theirs], rel=tolerance)


@pytest.mark.engines
def test_under_torchrun_killed_it_goes_on_to_the_bit(divided: Path, tmp_path: Path) -> None:
    """Takes two starts of torchrun; what a killed team goes on from, checkpoint_distributed's tests show."""
    out, script = tmp_path / "out", tmp_path / "kills_itself.py"
    script.write_text(KILLS_ITSELF, encoding="utf-8")
    killed = torchrun([divided, "--out", out], script=script)
    assert killed.returncode and not (out / "2-general" / "done.json").exists(), killed.stderr
    before = micro.lines(out / "2-general" / "metrics.jsonl")
    assert len(before) == 3
    resumed = torchrun([divided, "--out", out])
    assert resumed.returncode == 0, resumed.stderr
    assert micro.lines(out / "2-general" / "metrics.jsonl")[: len(before) - 1] == before[:-1]


def test_what_does_not_fit_the_processes_is_refused_before_data_are_made(recipe, tmp_path) -> None:
    with pytest.raises(RecipeError, match="1 processes cannot be divided into groups of context_parallel 2"):
        train(recipe, tmp_path / "out", ["parallel.context_parallel=2"])
    assert not (tmp_path / "out" / "data").exists()
