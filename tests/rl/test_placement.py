"""Policies in narrow precision: what is refused, that they learn, that they resume to the bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from mimovl.data import Processor
from mimovl.model import load_checkpoint
from mimovl.rl import train_policy
from mimovl.rl.placement import parameter_dtype, place_policy
from mimovl.team import ALONE, Team, run_team
from mimovl.train import OptimizerConfig, set_trainable
from mimovl.train.parallel_config import ParallelConfig
from tests import tiny
from tests.interrupt import Interrupt, Plug
from tests.rl.test_trainer import TOY, config, equal, figures

NARROW = {"dtype": "bfloat16", "parameter_dtype": "bfloat16"}


def improve(start: Path, out: Path, parallel: dict[str, Any] | None, *, progress: Any = None, **changes: Any):
    settings = config(parallel=parallel, **changes)
    model = load_checkpoint(start, dtype=parameter_dtype(settings.parallel))
    prompts = tiny.questions("world/counting", 8)
    return train_policy(model, Processor.load(start), prompts, settings, out, router=TOY, progress=progress)


@pytest.mark.parametrize(
    ("parallel", "rest", "message"),
    [
        ({"fsdp": "full"}, {}, "fsdp full: every process holds the whole policy"),
        ({"context_parallel": 2}, {}, "context_parallel 2: every process holds"),
        ({"dtype": "bfloat16"}, {}, "dtype bfloat16 differs from parameter_dtype float32"),
        ({"compile": True}, {}, "compile: rollouts decode through the same blocks"),
        (NARROW, {"optimizer": {"name": "muon"}}, "muon updates float32 parameters"),
        (NARROW, {"interference": {}}, "interference reads gradients"),
    ],
)
def test_what_a_policy_cannot_be_is_refused_with_the_cure(parallel, rest, message) -> None:
    with pytest.raises(ValueError, match=message):
        config(parallel=parallel, **rest)


def test_in_float32_blocks_that_forget_give_the_same_training_to_the_bit(tiny_trained: Path, tmp_path: Path) -> None:
    plain = improve(tiny_trained, tmp_path / "plain", None, steps=2)
    forgetful = improve(tiny_trained, tmp_path / "forgetful", {"activation_checkpointing": "full"}, steps=2)
    assert figures(tmp_path / "plain") == figures(tmp_path / "forgetful")
    assert equal(plain, forgetful)


@pytest.mark.parametrize("states", ["float32", "bfloat16"])
def test_a_policy_in_bfloat16_learns_on_its_own_rollouts(states: str, tiny_trained: Path, tmp_path: Path) -> None:
    parallel = {**NARROW, "gradient_dtype": states, "optimizer_dtype": states}
    model = improve(tiny_trained, tmp_path, parallel, steps=12)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    rewards = [line["reward"] for line in lines]
    assert sum(rewards[-2:]) > sum(rewards[:2]) + 0.5
    assert max(line["logprob_gap"] for line in lines) < 5e-3
    assert {value.dtype for value in model.state_dict().values()} == {torch.bfloat16}
    assert load_checkpoint(tmp_path / "model", dtype=None).dtype == torch.bfloat16


def test_stopped_and_started_again_it_ends_the_same_to_the_bit(tiny_trained: Path, tmp_path: Path) -> None:
    whole = improve(tiny_trained, tmp_path / "whole", NARROW, save_seconds=1e-6)
    with pytest.raises(Interrupt):
        improve(tiny_trained, tmp_path / "broken", NARROW, save_seconds=1e-6, progress=Plug(3))
    broken = improve(tiny_trained, tmp_path / "broken", NARROW, save_seconds=1e-6)
    assert figures(tmp_path / "whole") == figures(tmp_path / "broken")
    assert equal(whole, broken)


def _gradients(team: Team, start: str) -> list[float]:
    """The norm of gradients that two processes have made, each a part."""
    model = load_checkpoint(start, dtype=torch.bfloat16)
    set_trainable(model, ["projector"])
    parallel = ParallelConfig.model_validate(NARROW)
    trained = {"projector": model.projector}
    optimizer = place_policy(model, trained, {"projector": 1e-3}, OptimizerConfig(), parallel, team=team, seed=0)
    for number, parameter in enumerate(optimizer.parameters):
        if (number + team.rank) % 2 == 0 or team.size == 1:
            (parameter.float().sum() * (number + 1)).backward()
    optimizer.total()
    return [*optimizer.norms().values(), optimizer.step()]


def test_gradients_beside_their_parameters_are_summed_over_the_team(tiny_trained: Path) -> None:
    alone = _gradients(ALONE, str(tiny_trained))
    assert run_team(2, _gradients, (str(tiny_trained),)) == pytest.approx(alone)
    assert alone[0] == pytest.approx(alone[1]) and alone[0] > 0
