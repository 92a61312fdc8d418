"""Muon, matrices of one shape at a time and shared out over a team.

The update is that of ``torch.optim.Muon`` (Jordan, 2024; scaled as by Liu et al., 2025), whose states it keeps. That
one takes one matrix after the other in every process: a quarter of a step of a small model. Here matrices of one shape
are orthogonalised together in small stacks, each process of a team does some of the stacks, and the results are
exchanged. The stacks do not depend on the team, so neither does the update.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist

from mimovl.team import ALONE, Team

__all__ = ["Muon", "orthogonalise"]

_STACK = 6
"""Matrices orthogonalised together: enough to fill a core's caches, few enough to share out evenly."""


def orthogonalise(
    matrices: torch.Tensor, *, coefficients: tuple[float, float, float], steps: int, eps: float
) -> torch.Tensor:
    """Newton–Schulz iterations towards the nearest orthogonal matrix, in bfloat16.

    Args:
        matrices: shape (M, R, C).
        coefficients: of the quintic.
        steps: how many.
        eps: least norm.

    Returns:
        Shape (M, R, C), bfloat16; singular values between about 0.7 and 1.2.
    """
    a, b, c = coefficients
    tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.mT if tall else matrices).bfloat16()
    x = x / x.flatten(1).norm(dim=1).clamp(min=eps)[:, None, None]
    for _ in range(steps):
        gram = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Muon):
    """``torch.optim.Muon`` with stacked matrices, for a team.

    Args:
        params: as there.
        team: every process must have the same gradients.
        options: as there.
    """

    def __init__(self, params: Any, *, team: Team = ALONE, **options: Any) -> None:
        super().__init__(params, **options)
        self.team = team

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every matrix that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        chosen: list[tuple[torch.Tensor, dict[str, Any]]] = []
        directions: list[torch.Tensor] = []
        for group in self.param_groups:
            parameters: list[torch.Tensor] = []
            gradients: list[torch.Tensor] = []
            buffers: list[torch.Tensor] = []
            self._init_group(group, parameters, gradients, buffers)
            chosen += [(parameter, group) for parameter in parameters]
            for gradient, buffer in zip(gradients, buffers, strict=True):
                buffer.lerp_(gradient, 1 - group["momentum"])
                directions.append(gradient.lerp(buffer, group["momentum"]) if group["nesterov"] else buffer)
        updates = self._updates(chosen, directions)
        for (parameter, group), update in zip(chosen, updates, strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(update, alpha=-_rate(group, parameter))
        return loss

    def _updates(
        self, chosen: Sequence[tuple[torch.Tensor, dict[str, Any]]], directions: Sequence[torch.Tensor]
    ) -> list[torch.Tensor]:
        """The orthogonalised directions, this process's own and the others'."""
        kinds: dict[tuple[Any, ...], list[int]] = {}
        for number, (direction, (_, group)) in enumerate(zip(directions, chosen, strict=True)):
            key = (*direction.shape, group["ns_coefficients"], group["ns_steps"], group["eps"])
            kinds.setdefault(key, []).append(number)
        stacks = [(key, all_[at : at + _STACK]) for key, all_ in kinds.items() for at in range(0, len(all_), _STACK)]
        stacks.sort(key=lambda stack: -_work(stack[0], len(stack[1])))
        updates: dict[int, torch.Tensor] = {}
        loads = [0.0] * self.team.size
        for (rows, columns, coefficients, steps, eps), members in stacks:
            rank = loads.index(min(loads))
            loads[rank] += _work((rows, columns), len(members))
            stack = torch.stack([directions[number] for number in members])
            if rank == self.team.rank:
                stack = orthogonalise(stack, coefficients=coefficients, steps=steps, eps=eps)
            else:
                stack = torch.zeros_like(stack, dtype=torch.bfloat16)
            updates.update(zip(members, stack, strict=True))
        ordered = [updates[number] for number in range(len(directions))]
        if self.team.size > 1 and ordered:
            flat = torch.cat([update.flatten() for update in ordered])
            dist.all_reduce(flat)  # all but one are zero: exact
            ordered = list(torch.split(flat, [update.numel() for update in ordered]))
        return [update.view_as(direction) for update, direction in zip(ordered, directions, strict=True)]


def _work(shape: Sequence[int], count: int) -> float:
    """Multiplications of an iteration, up to a factor."""
    short, long = sorted(shape[:2])
    return count * short * short * (2 * long + short)


def _rate(group: dict[str, Any], parameter: torch.Tensor) -> float:
    rows, columns = parameter.shape
    if group["adjust_lr_fn"] == "match_rms_adamw":
        return float(group["lr"] * 0.2 * math.sqrt(max(rows, columns)))
    return float(group["lr"] * math.sqrt(max(1.0, rows / columns)))
