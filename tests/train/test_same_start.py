"""Weights are told apart, and processes that hold other ones do not train together."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from mimovl.errors import CheckpointError, DataError
from mimovl.model import build_model
from mimovl.team import Team, run_team
from mimovl.train import train_stage
from mimovl.train.same_start import folder_digest, weights_digest
from tests import tiny
from tests.interrupt import Interrupt, Plug
from tests.train import spread_work


def test_models_with_the_same_values_have_the_same_digest() -> None:
    assert weights_digest(tiny.model()) == weights_digest(tiny.model()) != ""


@pytest.mark.parametrize("part", ["vision", "projector", "language"])
def test_a_model_of_which_one_part_was_trained_has_another(part: str, tmp_path: Path) -> None:
    plain, trained = tiny.model(), tiny.model()
    with torch.no_grad():
        for parameter in getattr(trained, part).parameters():
            parameter.mul_(1.001).add_(1e-4)
    assert weights_digest(trained) != weights_digest(plain)
    folders = [tiny.checkpoint(tmp_path / name, model) for name, model in (("a", plain), ("b", trained))]
    assert folder_digest(folders[0]) != folder_digest(folders[1])


def test_a_model_without_memory_has_none() -> None:
    assert weights_digest(build_model(tiny.config(), device="meta")) == ""


def test_a_folder_lies_where_it_will(tmp_path: Path) -> None:
    start = tiny.checkpoint(tmp_path / "start")
    shutil.copytree(start, tmp_path / "copy")
    assert folder_digest(start) == folder_digest(tmp_path / "copy")
    weights = tmp_path / "copy" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        folder_digest(tmp_path / "copy")


# ---------------------------------------------------------------- two processes


STAGE = tiny.stage(packs=2, steps=2, save_seconds=1e-9)


def _told(team: Team, folder: Path) -> list[list[str]]:
    """What two processes are told that begin with the same weights, with other ones, divided ones, and elsewhere."""
    told = []
    for out, seed in ((folder / "same", 0), (folder / "weights", team.rank), (folder / f"point-{team.rank}", 0)):
        try:
            train_stage(tiny.model(seed), tiny.processor(), tiny.mixed(), STAGE, out, team=team)
            told.append("trained")
        except DataError as error:
            told.append(str(error))
    try:
        spread_work.sharded(team, folder / f"start-{team.rank}", folder / "divided", {"fsdp": "full"})
    except DataError as error:
        told.append(str(error))
    return team.gather(told)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints to start from, and a resume point of the leader's alone."""
    folder = tmp_path_factory.mktemp("same_start")
    for rank in range(2):
        tiny.checkpoint(folder / f"start-{rank}", tiny.model(rank))
    with pytest.raises(Interrupt):  # in the second step, behind the save of the first
        train_stage(tiny.model(), tiny.processor(), tiny.mixed(), STAGE, folder / "point-0", progress=Plug(2))
    return folder


@pytest.fixture(scope="module")
def told(folder: Path) -> list[str]:
    both = run_team(2, _told, (folder,))
    assert both[0] == both[1]
    return both[0]


def test_processes_with_the_same_weights_train(told: list[str]) -> None:
    assert told[0] == "trained"


def test_processes_that_begin_with_other_weights_stop_and_both_are_named(told: list[str]) -> None:
    digests = [weights_digest(tiny.model(rank)) for rank in range(2)]
    assert told[1] == (
        f"the processes disagree on where it begins: rank 0 has step 0 with weights {digests[0]}, rank 1 has step 0 "
        f"with weights {digests[1]}; give all of them the same recipe, overrides and folders"
    )


def test_processes_of_which_one_has_no_resume_point_stop(told: list[str]) -> None:
    """Each machine has an output folder of its own, and the leader's alone holds the point."""
    assert "rank 0 has step 1 with weights" in told[2] and "rank 1 has step 0 with weights" in told[2]


def test_processes_that_would_read_their_parts_of_other_weights_stop(told: list[str], folder: Path) -> None:
    digests = [folder_digest(folder / f"start-{rank}") for rank in range(2)]
    where = "the processes disagree on the weights it starts from"
    assert told[3].startswith(f"{where}: rank 0 has {digests[0]}, rank 1 has {digests[1]}; give all of them the same")
