"""Where a policy lives while it learns: its precision, and what its blocks keep for the backward pass.

    rl: {parallel: {dtype: bfloat16, parameter_dtype: bfloat16, activation_checkpointing: full}}

Rollouts and update share one copy of the parameters: every update is exactly on-policy. So every process holds the
whole policy and takes its share of the groups, and there are no float32 masters beside parameters in bfloat16, which
are written with stochastic rounding instead (``train/low_precision.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from mimovl.model import VisionLanguageModel
from mimovl.team import Team
from mimovl.train.blocks import arrange_blocks
from mimovl.train.config import OptimizerConfig
from mimovl.train.low_precision import Gradients, Noise, RoundedAdamW
from mimovl.train.optimizer import Groups, Optimizer, Parts
from mimovl.train.parallel_config import ParallelConfig, torch_dtype

__all__ = ["check_placement", "parameter_dtype", "place_policy"]


def check_placement(parallel: ParallelConfig, optimizer: OptimizerConfig) -> None:
    """Refuse what a policy that samples and learns in one place cannot do.

    Raises:
        ValueError: names the field and the cure.
    """
    whole = "every process holds the whole policy, whose parameters its rollout engine shares"
    if parallel.fsdp != "off":
        raise ValueError(f"parallel.fsdp {parallel.fsdp}: {whole}; leave it off, and set parameter_dtype: bfloat16")
    if parallel.context_parallel > 1:
        raise ValueError(f"parallel.context_parallel {parallel.context_parallel}: {whole}; leave it at 1")
    if parallel.dtype != parallel.parameter_dtype:
        raise ValueError(
            f"parallel.dtype {parallel.dtype} differs from parameter_dtype {parallel.parameter_dtype}: {whole}; "
            "make them the same"
        )
    if parallel.compile:
        raise ValueError("parallel.compile: rollouts decode through the same blocks, one token at a time; leave it off")
    if parallel.is_narrow and optimizer.name == "muon":
        raise ValueError("muon updates float32 parameters; with narrow ones set optimizer.name: adamw")


def parameter_dtype(parallel: ParallelConfig | None) -> torch.dtype:
    """In which the policy is loaded, and kept."""
    return torch_dtype(parallel.parameter_dtype) if parallel else torch.float32


def place_policy(
    model: VisionLanguageModel,
    trained: Mapping[str, nn.Module],
    rates: Mapping[str, float],
    optimizer: OptimizerConfig,
    parallel: ParallelConfig | None,
    *,
    team: Team,
    seed: int,
) -> Optimizer:
    """Give a policy its precision, arrange its blocks, and make its optimizer.

    Args:
        model: on its device, with ``requires_grad`` set.
        trained: its trained parts.
        rates: learning rate of each.
        optimizer: which algorithm.
        parallel: what the recipe says; None for plain float32.
        team: processes that share each update.
        seed: of the noise that rounds narrow parameters and states.
    """
    if parallel is None:
        return Optimizer(trained, rates, optimizer, team=team)
    model.to(parameter_dtype(parallel))
    arrange_blocks(model, parallel, model.device)
    if not parallel.is_narrow:
        return Optimizer(trained, rates, optimizer, team=team)
    gradients = Gradients(torch_dtype(parallel.gradient_dtype) if parallel.own_gradients else None)
    narrow = _Narrow(gradients, team, model.device)
    gradients.watch(p for part in trained.values() for p in part.parameters() if p.requires_grad)

    def make(adamw: Groups, matrices: Groups) -> list[torch.optim.Optimizer]:
        assert not matrices
        states = torch_dtype(parallel.optimizer_dtype)
        return [RoundedAdamW(adamw, gradients, Noise(seed, 0), betas=optimizer.betas, state_dtype=states)]

    return Optimizer(trained, rates, optimizer, make=make, clip=narrow.clip, norms=narrow.norms, total=narrow.total)


class _Narrow:
    """What an optimizer asks about gradients that may be kept beside their parameters."""

    def __init__(self, gradients: Gradients, team: Team, device: torch.device) -> None:
        self._gradients = gradients
        self._team = team
        self._device = device

    def total(self, parameters: Sequence[nn.Parameter]) -> None:
        """Their sum over the team; a missing one counts as zero."""
        self._team.sum_tensors([self._gradients.always(parameter) for parameter in parameters])

    def clip(self, parameters: Sequence[nn.Parameter], largest: float) -> float:
        """Scale them down to a global norm, and tell what it was."""
        norm = self._norm(parameters)
        if norm > largest:
            self._gradients.scale(parameters, largest / (norm + 1e-6))
        return norm

    def norms(self, parts: Parts) -> dict[str, float]:
        """Of each part."""
        return {part: self._norm(parameters) for part, parameters in parts.items()}

    def _norm(self, parameters: Sequence[nn.Parameter]) -> float:
        return float(self._gradients.squared_norm(parameters, self._device).sqrt())
