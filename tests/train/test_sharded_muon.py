"""Our Muon is torch's, whole or divided among two processes."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

from mimovl.team import Team, run_team
from mimovl.train.low_precision import Gradients, Noise
from mimovl.train.sharded_muon import ShardedMuon, orthogonalise, rows_of

SHAPES = [(24, 8), (8, 24), (5, 7), (1, 6), (16, 16)]
"""Tall, wide, rows that do not divide by two, one row alone."""


def matrices() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(shape, generator=generator) for shape in SHAPES]


def gradients(step: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(100 + step)
    return [torch.randn(shape, generator=generator) for shape in SHAPES]


def ours(parameters: list[nn.Parameter], group=None) -> ShardedMuon:
    groups = [{"params": parameters, "lr": 0.02}]
    states = torch.float32
    return ShardedMuon(
        groups, Gradients(), Noise(0, 0), momentum=0.9, weight_decay=0.1, state_dtype=states, group=group
    )


def torchs() -> list[torch.Tensor]:
    """What torch makes of the matrices in three steps."""
    parameters = [nn.Parameter(matrix) for matrix in matrices()]
    inner = torch.optim.Muon(parameters, lr=0.02, momentum=0.9, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for step in range(3):
        for parameter, gradient in zip(parameters, gradients(step), strict=True):
            parameter.grad = gradient
        inner.step()
    return [parameter.detach() for parameter in parameters]


def test_whole_matrices_are_updated_as_torch_does() -> None:
    parameters = [nn.Parameter(matrix) for matrix in matrices()]
    inner = ours(parameters)
    for step in range(3):
        for parameter, gradient in zip(parameters, gradients(step), strict=True):
            parameter.grad = gradient
        inner.step()
        inner.zero_grad()
        assert all(parameter.grad is None for parameter in parameters)
    for one, other in zip(parameters, torchs(), strict=True):
        torch.testing.assert_close(one.detach(), other, rtol=1e-5, atol=1e-6)


def _divided(team: Team) -> list[torch.Tensor]:
    mesh = init_device_mesh("cpu", (team.size,))

    def divide(tensor: torch.Tensor) -> DTensor:
        return distribute_tensor(tensor, mesh, [Shard(0)])

    parameters = [nn.Parameter(divide(matrix)) for matrix in matrices()]
    inner = ours(parameters, mesh.get_group())
    for step in range(3):
        for parameter, gradient in zip(parameters, gradients(step), strict=True):
            parameter.grad = divide(gradient)
        inner.step()
        inner.zero_grad()
    return [parameter.detach().full_tensor() for parameter in parameters]


def test_divided_matrices_end_where_whole_ones_do() -> None:
    for one, other in zip(run_team(2, _divided, ()), torchs(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(32, 12), (12, 32)])
def test_singular_values_come_near_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    values = torch.linalg.svdvals(orthogonalise(matrix).float())
    assert values.min() > 0.5 and values.max() < 1.3
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    assert torch.nn.functional.cosine_similarity(orthogonalise(matrix).float().flatten(), (u @ v).flatten(), 0) > 0.95


@pytest.mark.parametrize(("rows", "shards"), [(10, 3), (4, 4), (5, 4), (1, 3), (7, 1)])
def test_rows_are_divided_as_torch_divides_them(rows: int, shards: int) -> None:
    whole = torch.arange(rows)
    chunks = list(whole.chunk(shards))
    for shard in range(shards):
        expected = chunks[shard].tolist() if shard < len(chunks) else []
        assert whole[rows_of(rows, shards, shard)].tolist() == expected
