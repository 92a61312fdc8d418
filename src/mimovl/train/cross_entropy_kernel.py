"""Losses and their gradient from a chunk of logits on CUDA, in Triton: read twice, written once, in place.

Written out in torch operations the same takes seven passes over a chunk in float32.

Legend: M tokens, V vocabulary.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

__all__ = ["losses_and_gradient"]

BLOCK = 4096
"""Entries a program holds at a time."""


def losses_and_gradient(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, losses: torch.Tensor, *, gradient: bool
) -> None:
    """Cross-entropy of each row, and the gradient of the weighted sum in place of the logits.

    Args:
        logits: shape (M, V), rows contiguous; overwritten if the gradient is wanted.
        targets: entry to predict, shape (M,).
        weights: of each token in the sum, float32, shape (M,).
        losses: written, float32, shape (M,).
        gradient: whether it is wanted.
    """
    rows, entries = logits.shape
    _row[(rows,)](
        logits, targets, weights, losses, logits.stride(0), entries, GRADIENT=gradient, BLOCK=BLOCK, num_warps=8
    )


@triton.jit
def _row(
    logits, targets, weights, losses, stride, entries, GRADIENT: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    """One token: largest logit and normaliser in one pass, then the gradient."""
    row = tl.program_id(0).to(tl.int64)
    start = logits + row * stride
    target = tl.load(targets + row)
    right = tl.load(start + target).to(tl.float32)
    largest = float("-inf")
    total = 0.0
    for first in range(0, entries, BLOCK):
        place = first + tl.arange(0, BLOCK)
        x = tl.load(start + place, mask=place < entries, other=float("-inf")).to(tl.float32)
        highest = tl.maximum(largest, tl.max(x, 0))
        total = total * tl.exp(largest - highest) + tl.sum(tl.exp(x - highest), 0)
        largest = highest
    tl.store(losses + row, tl.log(total) + largest - right)
    if GRADIENT:
        weight = tl.load(weights + row)
        scale = weight / total
        for first in range(0, entries, BLOCK):
            place = first + tl.arange(0, BLOCK)
            x = tl.load(start + place, mask=place < entries, other=float("-inf")).to(tl.float32)
            change = tl.exp(x - largest) * scale - tl.where(place == target, weight, 0.0)
            tl.store(start + place, change.to(logits.dtype.element_ty), mask=place < entries)
