"""What a stage's loop asks of a team: shares, merges, wishes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mimovl.team import Team
from mimovl.train import train_stage
from mimovl.train.checkpoint_distributed import DistributedCheckpoints
from mimovl.train.distributed import joined
from mimovl.train.spread import TeamSpread, decide
from tests import tiny
from tests.interrupt import Interrupt, Plug
from tests.train import spread_work


class Told(Team):
    """A team whose other member says what the test says."""

    def __init__(self, other: tuple[bool, bool]) -> None:
        super().__init__(0, 2)
        self.other = other

    def gather(self, value):
        return [value, self.other]


@pytest.mark.parametrize(
    ("due", "stop", "other", "wish"),
    [
        (False, False, (False, False), "go on"),
        (True, False, (False, False), "save"),
        (False, False, (True, False), "go on"),
        (True, False, (False, True), "stop"),
        (False, True, (False, False), "stop"),
    ],
)
def test_the_leader_says_when_to_save_and_anybody_may_be_asked_to_end(due, stop, other, wish) -> None:
    assert decide(Told(other), due=due, stop=stop) == wish
    spread = TeamSpread(Told(other), stop_asked=lambda: stop)
    assert spread.wish(due=due) == wish


def test_packs_come_one_by_one_and_the_last_is_known() -> None:
    packs = [tiny.batch([tiny.processor().encode(sample)]) for sample in tiny.mixed()[:3]]
    seen = list(TeamSpread().batches(packs))
    assert [batch is pack for (batch, _), pack in zip(seen, packs, strict=True)] == [True] * 3
    assert [last for _, last in seen] == [False, False, True]
    assert list(TeamSpread(device=torch.device("cpu")).batches([])) == []


def test_a_stage_is_arranged_before_it_trains_and_saved_where_its_spread_says(tmp_path: Path) -> None:
    """What the spike watch remembers is saved too."""
    stage = tiny.stage(steps=6, spikes={"far_above": "skip", "window": 8, "deviations": 0.01}, save_seconds=1e-9)
    arranged: list[object] = []
    model = tiny.model()

    def train(out: Path, progress=None) -> None:
        with joined() as team:
            train_stage(
                tiny.model() if progress is None else model,
                tiny.processor(),
                tiny.mixed(),
                stage,
                out,
                seed=1,
                progress=progress,
                spread=TeamSpread(team, DistributedCheckpoints(team), arrange=arranged.append),
            )

    with pytest.raises(Interrupt):
        train(tmp_path / "cut", Plug(3))
    assert arranged == [model]
    assert (tmp_path / "cut" / "resume").is_dir() and not (tmp_path / "cut" / "resume" / "resume.pt").exists()
    train(tmp_path / "cut")
    train_stage(tiny.model(), tiny.processor(), tiny.mixed(), stage, tmp_path / "whole", seed=1)
    names = ("loss", "grad_norm_by_part", "skipped")
    assert spread_work.figures(tmp_path / "cut", *names) == spread_work.figures(tmp_path / "whole", *names)
    assert spread_work.figures(tmp_path / "whole", "skipped")[-1] != [0]
    assert not (tmp_path / "cut" / "resume").exists()
