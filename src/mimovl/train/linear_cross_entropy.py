"""Cross-entropy of a linear map whose whole output never exists: 32K tokens × 151,680 entries would fill a GPU.

    total, losses = linear_cross_entropy(hidden, weight, targets, weights)      total.backward()

Tokens are taken a chunk at a time. As soon as a chunk's logits are there, so are its losses and both gradients, and
the next chunk overwrites it; backward only scales what forward has made. So the three matrix products are those of the
plain computation, nothing is computed twice, and the memory beyond the gradients is one chunk of logits.

``torch.nn.functional.linear_cross_entropy`` (new in torch 2.13; 2.11 is supported here) does not serve: with a loss a
token it computes the logits twice and rounds losses to the dtype of the hidden states; a sum knows no token weights.

Legend: M tokens, E hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from mimovl.model import FLASH_DTYPES
from mimovl.types import IGNORE_INDEX

__all__ = ["linear_cross_entropy"]

MIN_CHUNK_LOGITS = 2**24
"""Logits that may always exist at once, 64 MiB in float32; below it chunks would only cost time."""


def linear_cross_entropy(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    weights: torch.Tensor | None = None,
    *,
    chunk_logits: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """``cross_entropy(linear(hidden, weight).float(), targets)``, weighted and summed, and its value at each token.

    Logits are rounded to the dtype of ``weight`` as a linear layer would; the softmax is computed in float32, and the
    gradients are summed in float32.

    Args:
        hidden: final hidden states, shape (M, E).
        weight: output matrix, shape (V, E), same dtype.
        targets: entry to predict, shape (M,); ``IGNORE_INDEX`` where none, which costs and teaches nothing.
        weights: of each token in the total, shape (M,), constants; 1 if absent.
        chunk_logits: logits that may exist at once. By default a quarter of the entries of ``weight``: then a chunk is
            small beside the gradient of ``weight``, yet long enough for its matrix products to run at full speed.
            What fits in one chunk is computed plainly.

    Returns:
        The weighted sum, a float32 scalar that can be differentiated once, and each token's unweighted loss, float32,
        shape (M,), for reading only.
    """
    if chunk_logits is None:
        chunk_logits = max(MIN_CHUNK_LOGITS, weight.numel() // 4)
    weights = torch.ones(targets.shape, device=hidden.device) if weights is None else weights.detach()
    rows = max(1, chunk_logits // weight.shape[0])
    if len(targets) <= rows:
        losses = F.cross_entropy(F.linear(hidden, weight).float(), targets, reduction="none", ignore_index=IGNORE_INDEX)
        return (losses * weights).sum(), losses.detach()
    # In forward() of a Function gradients always look switched off.
    learns = torch.is_grad_enabled()
    total, losses = _Chunked.apply(  # type: ignore[no-untyped-call]
        hidden, weight, targets, weights, rows, learns and hidden.requires_grad, learns and weight.requires_grad
    )
    return total, losses


class _Chunked(torch.autograd.Function):
    """Loss and gradients in one pass over the tokens."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        targets: torch.Tensor,
        weights: torch.Tensor,
        rows: int,
        hidden_learns: bool,
        weight_learns: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Chunk after chunk; what holds logits then holds probabilities, then their gradient."""
        size = len(targets)
        sum_dtype = torch.promote_types(weight.dtype, torch.float32)
        grad_hidden = torch.zeros_like(hidden, dtype=sum_dtype) if hidden_learns else None
        grad_weight = torch.zeros_like(weight, dtype=sum_dtype) if weight_learns else None
        losses = torch.empty(size, device=hidden.device)
        ignored = targets == IGNORE_INDEX
        targets = targets.masked_fill(ignored, 0)
        weights = weights.float().masked_fill(ignored, 0.0)
        rows = -(-size // -(-size // rows))  # as many chunks, all of one size
        fused = _kernel(weight)
        buffer = torch.empty((0 if fused else rows, weight.shape[0]), device=hidden.device)
        # Where a product must be widened before it can be added, only a few rows of the vocabulary at a time.
        narrow = weight.dtype != sum_dtype and not weight.is_cuda
        part_rows = max(1, buffer.numel() // weight.shape[1]) if narrow else weight.shape[0]
        wanted = hidden_learns or weight_learns
        for start in range(0, size, rows):
            chunk = slice(start, start + rows)
            told = targets[chunk], weights[chunk], losses[chunk]
            if fused:
                gradient = torch.mm(hidden[chunk], weight.t())
                fused(gradient, *told, gradient=wanted)
            else:
                gradient = _plain(buffer, hidden[chunk], weight, *told, gradient=wanted)
            for first in range(0, weight.shape[0], part_rows):
                part = slice(first, first + part_rows)
                if grad_hidden is not None:
                    _add_product(grad_hidden[chunk], gradient[:, part], weight[part])
                if grad_weight is not None:
                    _add_product(grad_weight[part], gradient[:, part].t(), hidden[chunk])
        losses.masked_fill_(ignored, 0.0)
        ctx.mark_non_differentiable(losses)
        # Neither input nor output: freed by the first backward, and a second one is refused by autograd itself.
        ctx.save_for_backward(grad_hidden, grad_weight)
        ctx.dtype = weight.dtype
        return (losses * weights).sum(), losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_total: torch.Tensor, _: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Scale in place: a copy of the gradient of ``weight`` would be the largest tensor of all."""
        gradients = (None if g is None else g.mul_(grad_total).to(ctx.dtype) for g in ctx.saved_tensors)
        return *gradients, None, None, None, None, None


def _kernel(weight: torch.Tensor) -> Callable[..., None] | None:
    """Ours, where half precision is computed on CUDA and Triton is installed, which comes with torch there."""
    if not weight.is_cuda or weight.dtype not in FLASH_DTYPES:
        return None
    try:
        from mimovl.train.cross_entropy_kernel import losses_and_gradient
    except ImportError:
        return None
    return losses_and_gradient


def _plain(
    buffer: torch.Tensor,
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    weights: torch.Tensor,
    losses: torch.Tensor,
    *,
    gradient: bool,
) -> torch.Tensor:
    """Losses of a chunk, written; the gradient of its logits, if it is wanted, in the buffer where types allow."""
    target = targets[:, None]
    logits = buffer[: len(target)]
    if weight.dtype == logits.dtype:
        torch.mm(hidden, weight.t(), out=logits)
    else:
        logits.copy_(torch.mm(hidden, weight.t()))
    logits.sub_(logits.amax(-1, keepdim=True))
    right = logits.gather(-1, target)
    normaliser = logits.exp_().sum(-1, keepdim=True)
    losses.copy_((normaliser.log() - right)[:, 0])
    if not gradient:
        return logits
    scale = weights[:, None]
    return logits.mul_(scale / normaliser).scatter_add_(-1, target, -scale).to(weight.dtype)


def _add_product(total: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> None:
    """``total += left @ right``, added up in the dtype of ``total`` also where both factors are narrower."""
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    elif total.is_cuda:
        torch.addmm(total, left, right, out_dtype=total.dtype, out=total)
    else:  # CPUs multiply narrow numbers slowly, and cannot widen the result
        total.addmm_(left.to(total.dtype), right.to(total.dtype))
