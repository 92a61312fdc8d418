"""Do tasks pull the policy apart? Each task's own gradient in an update, their cosines, and a way to settle conflicts.

    rl: {interference: {every: 10}}                 measure only: the update stays what it is
    rl: {interference: {method: pcgrad}}            settle, at every update

Tasks are backpropagated one after the other, so no token is computed twice. To measure, the accumulated gradient is
read at a random set of coordinates after each task, and the differences are the tasks' own parts there; no gradient is
copied. From 65,536 coordinates a cosine is known to about ±0.02 (root mean square over draws, on gradients of the tiny
model, in which few entries are large; without structure it would be 1/√n, ±0.004). Every measurement draws coordinates
anew, by the update's number, so that the error of a mean over updates falls with their number. Read against chance:
gradients of few rollouts are mostly noise; the cosine of two tasks that have nothing to do with each other is near 0.

PCGrad (Yu et al. 2020, algorithm 1) needs the whole gradients, one copy a task: where two have a negative product, the
part of the one along the other is taken out, others in random order; then they are added. Without a conflict it is the
plain sum.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, Literal

import torch
from pydantic import Field

from mimovl.recipe_model import RecipeModel
from mimovl.team import Team
from mimovl.types import RolloutGroup

__all__ = ["InterferenceConfig", "TaskGradients", "pcgrad", "split_by_task"]


class InterferenceConfig(RecipeModel):
    """How far the tasks' gradients contradict each other, and what is done about it."""

    method: Literal["measure", "pcgrad"] = "measure"
    """measure leaves the update as it is; pcgrad takes out what contradicts, at the price of a gradient a task."""
    every: int = Field(default=10, ge=1)
    """Updates between two measurements, whose packs hold one task each; pcgrad measures always."""
    coordinates: int = Field(default=65_536, ge=16)
    """Parameters at which gradients are read to measure."""


def split_by_task(groups: Sequence[RolloutGroup], mine: Sequence[RolloutGroup]) -> Iterator[tuple[str, list[int]]]:
    """Each task of an update's groups, and the places of its groups among those of this process."""
    for task in sorted({group.request.sample.task for group in groups}):
        yield task, [place for place, group in enumerate(mine) if group.request.sample.task == task]


class TaskGradients:
    """Gradients of one update by task, read as they accumulate.

    Args:
        parameters: those that are trained.
        config: measure or settle.
        team: processes that share the groups.
        number: of the update; orders the tasks in pcgrad, draws the coordinates to measure.
    """

    def __init__(
        self, parameters: Sequence[torch.nn.Parameter], config: InterferenceConfig, team: Team, number: int
    ) -> None:
        self.parameters = list(parameters)
        self.config = config
        self.team = team
        self.number = number
        self._own: dict[str, torch.Tensor] = {}
        self._before: torch.Tensor | None = None
        self._places = [] if config.method == "pcgrad" else _places(self.parameters, config.coordinates, number)

    def take(self, task: str) -> None:
        """Note what the last backward passes, all of this task, have added. Called for every task by every process."""
        if self.config.method == "pcgrad":
            self.team.sum_gradients(self.parameters)
            self._own[task] = torch.cat([_flat(parameter) for parameter in self.parameters])
            for parameter in self.parameters:
                parameter.grad = None
            return
        now = torch.cat([_flat(one)[places] for one, places in zip(self.parameters, self._places, strict=True)])
        self._own[task] = now if self._before is None else now - self._before
        self._before = now

    def finish(self) -> dict[str, Any]:
        """Leave the update's gradient in the parameters, summed over the team.

        Returns:
            ``gradient_cosines`` by pair of tasks (``"counting grounding"``), the share of pairs below zero, and the
            norm of each task's gradient (measured: that of the coordinates, scaled up).
        """
        if self.config.method == "pcgrad":
            total = pcgrad(list(self._own.values()), seed=self.number)
            sizes = [parameter.numel() for parameter in self.parameters]
            for parameter, part in zip(self.parameters, torch.split(total, sizes), strict=True):
                parameter.grad = part.view_as(parameter)
            scale = 1.0
        else:
            self.team.sum_gradients(self.parameters)
            own = {task: part.cpu() for task, part in self._own.items()}
            gathered = self.team.gather(own)
            self._own = {task: torch.stack([part[task] for part in gathered]).sum(0) for task in own}
            read = sum(len(places) for places in self._places)
            scale = (sum(parameter.numel() for parameter in self.parameters) / max(1, read)) ** 0.5
        cosines = {
            f"{one} {other}": _cosine(self._own[one], self._own[other]) for one, other in combinations(self._own, 2)
        }
        return {
            "gradient_cosines": cosines,
            "gradient_conflicts": sum(value < 0 for value in cosines.values()) / max(1, len(cosines)),
            "gradient_norm_by_task": {task: scale * float(part.norm()) for task, part in self._own.items()},
        }


def pcgrad(gradients: Sequence[torch.Tensor], *, seed: int) -> torch.Tensor:
    """The sum of the gradients, each without its parts along those it contradicts (Yu et al. 2020, algorithm 1).

    Args:
        gradients: one a task, shape (P,).
        seed: of the order in which each meets the others.
    """
    rng = random.Random(seed)
    squares = [float(gradient.square().sum()) for gradient in gradients]
    total = torch.zeros_like(gradients[0])
    for place, gradient in enumerate(gradients):
        settled = gradient.clone()
        others = [other for other in range(len(gradients)) if other != place and squares[other] > 0]
        rng.shuffle(others)
        for other in others:
            product = float(settled @ gradients[other])
            if product < 0:
                settled -= product / squares[other] * gradients[other]
        total += settled
    return total


def _places(parameters: Sequence[torch.nn.Parameter], count: int, seed: int) -> list[torch.Tensor]:
    """About ``count`` places, the same in every process, spread over the parameters by their size."""
    every = sum(parameter.numel() for parameter in parameters)
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randint(every, (count,), generator=generator) if count < every else torch.arange(every)
    ends = torch.tensor([parameter.numel() for parameter in parameters]).cumsum(0)
    owner = torch.bucketize(chosen, ends, right=True)
    starts = torch.cat([torch.zeros(1, dtype=torch.long), ends[:-1]])
    return [(chosen[owner == n] - starts[n]).to(parameter.device) for n, parameter in enumerate(parameters)]


def _flat(parameter: torch.nn.Parameter) -> torch.Tensor:
    return torch.zeros_like(parameter).reshape(-1) if parameter.grad is None else parameter.grad.reshape(-1).clone()


def _cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(one @ other) / max(1e-30, float(one.norm()) * float(other.norm()))
