"""A stage that could not be written: nobody waits for ever, all say why, and what was there stays."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mimovl.errors import CheckpointError
from mimovl.model import load_checkpoint, save_checkpoint
from mimovl.team import ALONE, Team
from mimovl.train.checkpoint import is_finished
from mimovl.train.export import finish_sharded
from tests import tiny


def test_the_folder_is_what_one_process_would_have_written(tmp_path: Path) -> None:
    model = tiny.model()
    finish_sharded(tmp_path, model, tiny.processor().files(), {"steps": 3}, team=ALONE)
    assert is_finished(tmp_path)
    save_checkpoint(model, tmp_path / "other", side_files=tiny.processor().files())
    for file in (tmp_path / "other").iterdir():
        assert (tmp_path / "model" / file.name).read_bytes() == file.read_bytes(), file.name


class Member(Team):
    """The second of two, told what its leader met."""

    def __init__(self, problem: str) -> None:
        super().__init__(1, 2)
        self.problem = problem

    def broadcast(self, value):
        return self.problem


def test_a_leader_that_cannot_write_passes_through_all_tensors_and_everybody_raises(tmp_path: Path) -> None:
    model = tiny.model()
    gathered: list[str] = []
    with torch.no_grad():
        model.language.norm.weight[0] = float("nan")

    class Counting(Team):
        def broadcast(self, value):
            gathered.append(value)
            return value

    with pytest.raises(CheckpointError, match="tensor model.norm.weight holds values that are not finite") as met:
        finish_sharded(tmp_path, model, {}, {}, team=Counting())
    assert gathered == [str(met.value)] and not is_finished(tmp_path) and not (tmp_path / "model").exists()
    with pytest.raises(CheckpointError, match="no room"):
        finish_sharded(tmp_path, tiny.model(), {}, {}, team=Member("no room"))
    assert not any(tmp_path.iterdir())


def test_an_older_checkpoint_stays_whole(tmp_path: Path) -> None:
    tiny.checkpoint(tmp_path / "model")
    broken = tiny.model(1)
    with torch.no_grad():
        broken.projector.down.bias[0] = float("inf")
    with pytest.raises(CheckpointError, match="not finite"):
        finish_sharded(tmp_path, broken, {}, {}, team=ALONE)
    assert torch.equal(load_checkpoint(tmp_path / "model").projector.down.weight, tiny.model().projector.down.weight)
