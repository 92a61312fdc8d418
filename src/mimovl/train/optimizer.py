"""Optimizers with a learning rate for each part, and the schedule.

Muon orthogonalises the momentum of each matrix (Jordan, 2024) and is scaled to AdamW's update size, so one learning
rate serves both; embeddings, heads, norms and biases keep AdamW.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from mimovl.model import VisionLanguageModel
from mimovl.team import ALONE, Team
from mimovl.train.config import OptimizerConfig
from mimovl.train.muon import Muon

__all__ = ["Optimizer", "learning_rate_factor", "set_trainable"]


def learning_rate_factor(step: int, steps: int, *, warmup: float, schedule: str, final: float) -> float:
    """Share of the peak learning rate at a step.

    Args:
        step: optimizer step, counted from 0.
        steps: all of them.
        warmup: share of the steps that rise linearly from zero.
        schedule: constant, cosine or linear fall afterwards.
        final: share left at the end.
    """
    rising = warmup * steps
    if step < rising:
        return (step + 1) / (rising + 1)
    if schedule == "constant":
        return 1.0
    done = (step - rising) / max(1.0, steps - rising)
    shape = 1 - done if schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))
    return final + (1 - final) * shape


def set_trainable(model: VisionLanguageModel, parts: Iterable[str]) -> None:
    """Let exactly these parts learn: vision, projector, language."""
    parts = set(parts)
    for name, part in model.named_children():
        part.requires_grad_(name in parts)


Groups = list[dict[str, Any]]
"""Parameter groups with their learning rate, part and weight decay."""
Parts = dict[str, list[nn.Parameter]]
"""Parameters by part."""

_NOT_ORTHOGONALISED = ("embed_tokens.weight", "lm_head.weight", "table.weight", "score.weight")
"""Matrices with a row for each token or class, of which Muon would move rows that had no gradient, and the one row of
a reward head."""


class Optimizer:
    """One object over all parameter groups of a stage.

    Args:
        modules: each part's module, by name; parameters that do not require gradients are left out.
        learning_rate: peak learning rate of each part.
        config: which algorithm, and its constants.
        team: processes that have the same gradients and share the work of an update.
        make: builds the inner optimizers from groups for AdamW and groups for Muon; unset for those of this process.
        clip: scales gradients down to a global norm and returns what it was; unset for torch's.
        norms: tells the norm of each part's gradients; unset where parameters hold whole ones.
        total: replaces gradients by their sum over the team; unset where parameters hold them.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        learning_rate: Mapping[str, float],
        config: OptimizerConfig,
        *,
        team: Team = ALONE,
        make: Callable[[Groups, Groups], list[torch.optim.Optimizer]] | None = None,
        clip: Callable[[list[nn.Parameter], float], float] | None = None,
        norms: Callable[[Parts], dict[str, float]] | None = None,
        total: Callable[[list[nn.Parameter]], None] | None = None,
    ) -> None:
        self.config = config
        self.peak = dict(learning_rate)
        self.parameters: list[nn.Parameter] = []
        self.names: dict[nn.Parameter, str] = {}
        """Part and name of each."""
        self._clip, self._norms, self._total = clip or _clip, norms or _norms, total or team.sum_gradients
        matrices: Groups = []
        adamw: Groups = []
        seen: set[int] = set()
        for part, module in modules.items():
            groups: dict[str, list[nn.Parameter]] = {"matrix": [], "decayed": [], "plain": []}
            for name, parameter in module.named_parameters():
                if not parameter.requires_grad or id(parameter) in seen:
                    continue
                seen.add(id(parameter))
                self.parameters.append(parameter)
                self.names[parameter] = f"{part}.{name}"
                inner = parameter.ndim == 2 and not name.endswith(_NOT_ORTHOGONALISED)
                kind = ("matrix" if config.name == "muon" else "decayed") if inner else "plain"
                groups[kind].append(parameter)
            rate = learning_rate[part]
            if groups["matrix"]:
                matrices.append({"params": groups["matrix"], "lr": rate, "part": part})
            for kind, decay in (("decayed", config.weight_decay), ("plain", 0.0)):
                if groups[kind]:
                    adamw.append({"params": groups[kind], "lr": rate, "part": part, "weight_decay": decay})
        self.inner: list[torch.optim.Optimizer] = []
        if make:
            self.inner = make(adamw, matrices)
            return
        if adamw:
            self.inner.append(torch.optim.AdamW(adamw, betas=config.betas, eps=1e-8, fused=True))
        if matrices:
            self.inner.append(
                Muon(
                    matrices,
                    team=team,
                    momentum=config.momentum,
                    weight_decay=config.weight_decay,
                    adjust_lr_fn="match_rms_adamw",
                )
            )

    def step(self, factor: float = 1.0) -> float:
        """Clip, update, and clear the gradients.

        Args:
            factor: share of the peak learning rates.

        Returns:
            The global gradient norm before clipping.
        """
        norm = self._clip(self.parameters, self.config.clip_norm)
        for optimizer in self.inner:
            for group in optimizer.param_groups:
                group["lr"] = self.peak[group["part"]] * factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return norm

    def total(self) -> None:
        """Replace every gradient by its sum over the team."""
        self._total(self.parameters)

    def norms(self) -> dict[str, float]:
        """Norm of each part's gradients as they stand, before clipping."""
        parts: Parts = {part: [] for part in self.peak}
        for group in (group for optimizer in self.inner for group in optimizer.param_groups):
            parts[group["part"]] += group["params"]
        return self._norms(parts)

    def clear(self) -> None:
        """Forget the gradients: a step that is not taken."""
        for optimizer in self.inner:
            optimizer.zero_grad(set_to_none=True)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Every state by the parameter's name and its own, the very tensors; those of later steps are made as zeros."""
        states = {}
        for optimizer in self.inner:
            blank = getattr(optimizer, "blank", _blank_muon if isinstance(optimizer, torch.optim.Muon) else _blank)
            for parameter in (p for group in optimizer.param_groups for p in group["params"]):
                state = optimizer.state[parameter]
                if not state:
                    state.update(blank(parameter))
                for key, tensor in state.items():
                    states[f"{self.names[parameter]}.{key}"] = tensor
        return states

    def state_dict(self) -> list[dict[str, Any]]:
        """State of every inner optimizer."""
        return [optimizer.state_dict() for optimizer in self.inner]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        """Restore :meth:`state_dict`."""
        for optimizer, inner in zip(self.inner, state, strict=True):
            optimizer.load_state_dict(inner)


def _clip(parameters: list[nn.Parameter], largest: float) -> float:
    return float(nn.utils.clip_grad_norm_(parameters, largest))


def _norms(parts: Parts) -> dict[str, float]:
    gradients = {part: [p.grad for p in parameters if p.grad is not None] for part, parameters in parts.items()}
    return {part: float(nn.utils.get_total_norm(found)) for part, found in gradients.items()}


def _blank(parameter: torch.Tensor) -> dict[str, torch.Tensor]:
    """What torch's fused AdamW begins with."""
    step = torch.zeros((), dtype=torch.float32, device=parameter.device)
    return {"step": step, "exp_avg": torch.zeros_like(parameter), "exp_avg_sq": torch.zeros_like(parameter)}


def _blank_muon(parameter: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"momentum_buffer": torch.zeros_like(parameter)}
