"""Muon over divided matrices: momentum where the parts are, each matrix orthogonalised whole by one process.

Newton–Schulz needs a whole matrix (Jordan, 2024). The matrices of a group are dealt out to the processes that divide
them, one each at a time: an exchange brings every process the parts of its matrix, another takes the result back. So
nothing is computed twice, and no process holds more than one whole matrix, in bfloat16.

Updates are those of ``torch.optim.Muon`` with ``adjust_lr_fn="match_rms_adamw"``; tests compare them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.distributed as dist

from mimovl.train.low_precision import Gradients, Noise, local

__all__ = ["ShardedMuon", "orthogonalise", "rows_of"]

_A, _B, _C = 3.4445, -4.7750, 2.0315
_STEPS = 5
_EPS = 1e-7


def orthogonalise(matrix: torch.Tensor) -> torch.Tensor:
    """The quintic Newton–Schulz iteration in bfloat16: U Vᵀ of the singular value decomposition, about.

    Args:
        matrix: shape (rows, columns).
    """
    x = matrix.bfloat16()
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    x = x / x.norm().clamp(min=_EPS)
    for _ in range(_STEPS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=_B, alpha=_C), x, beta=_A)
    return x.T if tall else x


def rows_of(rows: int, shards: int, shard: int) -> slice:
    """Rows of a matrix that a shard holds, as FSDP divides them: equal parts, the last ones smaller or empty."""
    size = -(-rows // shards)
    return slice(min(rows, shard * size), min(rows, (shard + 1) * size))


class ShardedMuon(torch.optim.Optimizer):
    """Muon with decoupled weight decay.

    Args:
        params: groups of matrices with ``lr``.
        gradients: where gradients are.
        noise: rounds what is kept in bfloat16.
        momentum: Nesterov momentum.
        weight_decay: decoupled.
        state_dtype: of the momentum.
        group: processes that divide every matrix; None where they are whole.
    """

    def __init__(
        self,
        params: Iterable[dict[str, Any]],
        gradients: Gradients,
        noise: Noise,
        *,
        momentum: float,
        weight_decay: float,
        state_dtype: torch.dtype,
        group: dist.ProcessGroup | None = None,
    ) -> None:
        super().__init__(params, {"lr": 0.0})
        self._gradients, self._noise = gradients, noise
        self._momentum, self._weight_decay, self._state_dtype = momentum, weight_decay, state_dtype
        self._group = group
        self._shards = group.size() if group else 1
        self._shard = group.rank() if group else 0

    def blank(self, parameter: torch.Tensor) -> dict[str, torch.Tensor]:
        """The state of a matrix that has not been updated."""
        return {
            "step": torch.zeros(()),
            "momentum_buffer": torch.zeros_like(parameter, dtype=self._state_dtype),
        }

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every matrix that has a gradient."""
        begun = False
        for group in self.param_groups:
            ready = [parameter for parameter in group["params"] if self._gradients(parameter) is not None]
            for first in range(0, len(ready), self._shards):
                matrices = ready[first : first + self._shards]
                updates = []
                for matrix in matrices:
                    state = self.state[matrix]
                    if not state:
                        state.update(self.blank(matrix))
                    state["step"] += 1
                    if not begun:
                        self._noise.begin(2 * int(state["step"]) + 1, matrix.device)
                        begun = True
                    updates.append(self._push(matrix, local(state["momentum_buffer"])))
                for matrix, update in zip(matrices, self._orthogonal(matrices, updates), strict=True):
                    self._apply(matrix, update, group["lr"])

    def _push(self, matrix: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """Move the momentum by the gradient and look ahead by it (Nesterov)."""
        gradient = self._gradients(matrix)
        assert gradient is not None
        gradient = gradient.float()
        momentum = kept.float().lerp(gradient, 1 - self._momentum)
        self._noise.write(kept, momentum)
        return gradient.lerp(momentum, self._momentum).bfloat16()

    def _orthogonal(self, matrices: list[torch.Tensor], updates: list[torch.Tensor]) -> list[torch.Tensor]:
        """The orthogonalised updates of at most one matrix a process, each process's part of each."""
        if self._shards == 1:
            return [orthogonalise(update) for update in updates]
        mine = matrices[self._shard] if self._shard < len(matrices) else None
        rows, columns = mine.shape if mine is not None else (0, 0)
        parts = [rows_of(rows, self._shards, shard) for shard in range(self._shards)]
        given = [update.numel() for update in updates] + [0] * (self._shards - len(updates))
        taken = [(part.stop - part.start) * columns for part in parts]
        flat = self._exchange(torch.cat([update.reshape(-1) for update in updates]), given, taken)
        if mine is not None:
            flat = orthogonalise(flat.view(rows, columns)).reshape(-1)
        back = torch.split(self._exchange(flat.contiguous(), taken, given), given)
        return [piece.view_as(update) for piece, update in zip(back, updates, strict=False)]

    def _exchange(self, flat: torch.Tensor, given: list[int], taken: list[int]) -> torch.Tensor:
        out = flat.new_empty(sum(taken))
        dist.all_to_all_single(out, flat, taken, given, group=self._group)
        return out

    def _apply(self, matrix: torch.Tensor, update: torch.Tensor, rate: float) -> None:
        kept = local(matrix)
        value = kept.float() * (1 - rate * self._weight_decay)
        value.add_(update, alpha=-rate * 0.2 * math.sqrt(max(matrix.shape)))
        self._noise.write(kept, value)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                self._gradients.drop(parameter)
