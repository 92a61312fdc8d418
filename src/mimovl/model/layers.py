"""The two building blocks both towers share: RMSNorm and the gated SwiGLU feed-forward."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

__all__ = ["RMSNorm", "SwiGLU"]


class RMSNorm(nn.Module):
    """Root-mean-square layer norm; statistics in float32 for narrower inputs (Zhang and Sennrich, 2019)."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Shape (…, size) in and out."""
        if x.dtype in (torch.float32, torch.float64):
            return F.rms_norm(x, self.weight.shape, self.weight, self.eps)
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * wide.to(x.dtype)


class SwiGLU(nn.Module):
    """Gated feed-forward: down(silu(gate(x)) · up(x)) (Shazeer, 2020)."""

    def __init__(self, hidden_size: int, intermediate_size: int, *, bias: bool) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(hidden_size, intermediate_size, bias=bias)
        self.up_proj = nn.Linear(hidden_size, intermediate_size, bias=bias)
        self.down_proj = nn.Linear(intermediate_size, hidden_size, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Shape (…, hidden_size) in and out."""
        gate, up, down = self.gate_proj(x), self.up_proj(x), self.down_proj
        out: torch.Tensor
        if torch.compiler.is_compiling() or torch.is_autocast_enabled(x.device.type) or not torch.is_grad_enabled():
            out = down(F.silu(gate) * up)
        else:
            out = _Gated.apply(gate, up, down.weight, down.bias)  # type: ignore[no-untyped-call]
        return out


class _Gated(torch.autograd.Function):
    """down(silu(gate) · up), of which only gate and up are kept for the backward pass.

    The two products of their size that autograd would keep as well are most of a layer's memory and quickly made again;
    results and gradients are the same to the bit.
    """

    @staticmethod
    def forward(
        ctx: Any, gate: torch.Tensor, up: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
    ) -> torch.Tensor:
        """Shapes (…, intermediate) and (hidden, intermediate) in, (…, hidden) out."""
        ctx.save_for_backward(gate, up, weight)
        return F.linear(F.silu(gate).mul_(up), weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Of gate, up, weight and bias."""
        gate, up, weight = ctx.saved_tensors
        of_gate, of_up, of_weight, of_bias = ctx.needs_input_grad
        active = F.silu(gate)
        rows = grad.flatten(0, -2)
        weight_grad = rows.t() @ (active * up).flatten(0, -2) if of_weight else None
        bias_grad = rows.sum(0) if of_bias else None
        if not (of_gate or of_up):
            return None, None, weight_grad, bias_grad
        product = grad @ weight
        up_grad = active.mul_(product)
        return torch.ops.aten.silu_backward(product.mul_(up), gate), up_grad, weight_grad, bias_grad
