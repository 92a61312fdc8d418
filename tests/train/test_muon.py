"""Muon in stacks and shared over a team: the update of ``torch.optim.Muon``, whoever computes which part."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mimovl.team import Team, run_team
from mimovl.train.muon import Muon, orthogonalise

SHAPES = [(24, 16)] * 7 + [(16, 24)] * 3 + [(16, 16)] * 2 + [(8, 40)]
OPTIONS = {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.1, "adjust_lr_fn": "match_rms_adamw"}


def parameters() -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(1)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def run(optimizer: torch.optim.Optimizer, weights: list[torch.nn.Parameter], steps: int = 3) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    for _ in range(steps):
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=generator)
        optimizer.step()
    return [weight.detach() for weight in weights]


@pytest.mark.parametrize("scaled", ["match_rms_adamw", "original"])
def test_updates_are_those_of_the_library(scaled: str) -> None:
    ours, theirs = parameters(), parameters()
    options = {**OPTIONS, "adjust_lr_fn": scaled}
    for one, other in zip(
        run(Muon(ours, **options), ours), run(torch.optim.Muon(theirs, **options), theirs), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=2e-3)  # three updates of 0.02 in bfloat16


def test_orthogonalised_matrices_have_singular_values_near_one() -> None:
    made = orthogonalise(torch.randn(4, 48, 32), coefficients=(3.4445, -4.7750, 2.0315), steps=5, eps=1e-7)
    values = torch.linalg.svdvals(made.float())
    assert values.min() > 0.3 and values.max() < 1.4


def test_a_matrix_without_gradient_stays() -> None:
    weights = parameters()
    before = weights[0].detach().clone()
    optimizer = Muon(weights, **OPTIONS)
    for weight in weights[1:]:
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    assert torch.equal(weights[0], before)


def _shared(team: Team, out: Path) -> None:
    weights = parameters()
    torch.save(run(Muon(weights, team=team, **OPTIONS), weights), out / f"{team.rank}.pt")


def test_a_team_makes_the_same_update_to_the_bit(tmp_path: Path) -> None:
    run_team(2, _shared, (tmp_path,))
    weights = parameters()
    alone = run(Muon(weights, **OPTIONS), weights)
    for rank in (0, 1):
        shared = torch.load(tmp_path / f"{rank}.pt")
        assert all(torch.equal(one, other) for one, other in zip(shared, alone, strict=True))
