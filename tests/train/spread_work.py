"""A stage trained in other processes, one way of spreading after the other; what test_fsdp.py compares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from mimovl.errors import DataError
from mimovl.model import VisionLanguageModel, build_model, load_checkpoint, read_config
from mimovl.team import ALONE, Team
from mimovl.train import StageConfig, train_stage
from mimovl.train.checkpoint_distributed import DistributedCheckpoints
from mimovl.train.fsdp import ShardedSpread
from mimovl.train.parallel_config import ParallelConfig
from mimovl.train.spread import TeamSpread
from tests import tiny

Case = tuple[str, dict[str, Any], dict[str, Any]]
"""Name, the recipe's ``parallel``, changes of the stage."""


def empty(start: Path) -> VisionLanguageModel:
    """A model that takes no memory yet."""
    return build_model(read_config(start), device="meta")


def stage(**changes: Any) -> StageConfig:
    """Four packs a step, some of them without a picture."""
    return tiny.stage(**{"packs": 4, "steps": 4, "length": 192, **changes})


def plain(start: Path, out: Path, team: Team = ALONE, *, progress: Any = None, **changes: Any) -> None:
    """Every process holds the whole model."""
    spread = TeamSpread(team, DistributedCheckpoints(team)) if team.size > 1 else None
    train_stage(
        load_checkpoint(start),
        tiny.processor(),
        tiny.mixed(),
        stage(**changes),
        out,
        seed=1,
        spread=spread,
        progress=progress,
    )


def sharded(
    team: Team, start: Path, out: Path, parallel: dict[str, Any], *, progress: Any = None, seed: int = 1, **changes: Any
) -> None:
    """Spread as ``parallel`` says."""
    spread = ShardedSpread(
        team,
        ParallelConfig.model_validate(parallel),
        stage(**changes),
        device=torch.device("cpu"),
        weights=start,
        checkpoints=DistributedCheckpoints(team),
    )
    train_stage(
        empty(start),
        tiny.processor(),
        tiny.mixed(),
        stage(**changes),
        out,
        seed=seed,
        spread=spread,
        progress=progress,
    )


def all_cases(team: Team, start: Path, folder: Path, cases: list[Case]) -> list[str]:
    """One after the other, each into a folder of its name; what processes that disagree are told."""
    for name, parallel, changes in cases:
        if parallel:
            sharded(team, start, folder / name, parallel, **changes)
        else:
            plain(start, folder / name, team, **changes)
    return disagree(team, start, folder / "disagree")


def disagree(team: Team, start: Path, out: Path) -> list[str]:
    """What processes are told that were given different seeds, and that meet different samples in one pack."""
    messages = []
    try:
        sharded(team, start, out, {"fsdp": "full"}, seed=team.rank)
    except DataError as error:
        messages.append(str(error))
    parallel = ParallelConfig(context_parallel=2)
    cpu, checkpoints = torch.device("cpu"), DistributedCheckpoints(team)
    spread = ShardedSpread(team, parallel, stage(), device=cpu, weights=None, checkpoints=checkpoints)
    try:
        spread.merge([{"labels": 3.0}, {"labels": 5.0, "samples": f"hash-{team.rank}"}])
    except DataError as error:
        messages.append(str(error))
    return messages


def figures(out: Path, *names: str) -> list[list[Any]]:
    """Figures of every step."""
    lines = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [[json.loads(line)[name] for name in names] for line in lines]


def losses(out: Path) -> list[float]:
    return [loss for (loss,) in figures(out, "loss")]
