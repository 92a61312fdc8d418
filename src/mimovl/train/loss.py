"""Next-token loss over a packed batch, summed, so that any number of packs can share one normaliser.

Legend: N tokens, M tokens with a label, E hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch

from mimovl.model import TokenShare, VisionLanguageModel
from mimovl.train.linear_cross_entropy import linear_cross_entropy
from mimovl.types import IGNORE_INDEX, PackedBatch

__all__ = ["LanguageModelLoss", "Objective", "SummedLoss", "language_model_loss", "token_losses"]


class SummedLoss(Protocol):
    """What a stage makes small: a sum over a pack, so that any number of packs can share one normaliser."""

    @property
    def total(self) -> torch.Tensor:
        """The sum, which can be differentiated."""
        ...

    @property
    def by_source(self) -> dict[str, tuple[float, int]]:
        """Summed loss and what it is counted by, of each data source."""
        ...


Objective = Callable[[VisionLanguageModel, PackedBatch], SummedLoss]
"""Loss of a pack, to be divided by the labels of all packs of a step."""


@dataclass(frozen=True)
class LanguageModelLoss:
    """Summed loss of a batch and its parts."""

    total: torch.Tensor
    """Weighted sum over labelled tokens; divide by the tokens of the whole step."""
    num_tokens: float
    """Sum of the weights of labelled tokens."""
    losses: torch.Tensor
    """Loss of each labelled token, float32, shape (M,); what is read of it below waits for a GPU."""
    segments: torch.Tensor
    """Number of the sample each lies in, on the CPU, shape (M,)."""
    sources: Sequence[str]
    """Source of each sample."""

    @cached_property
    def by_sample(self) -> tuple[tuple[float, int], ...]:
        """Summed loss and labelled tokens of each sample, in the order of the batch."""
        sums = torch.zeros(len(self.sources)).index_add_(0, self.segments, self.losses.cpu())
        counts = torch.bincount(self.segments, minlength=len(self.sources))
        return tuple(zip(sums.tolist(), counts.tolist(), strict=True))

    @property
    def by_source(self) -> dict[str, tuple[float, int]]:
        """The same of each data source."""
        by_source: dict[str, tuple[float, int]] = {}
        for source, (summed, count) in zip(self.sources, self.by_sample, strict=True):
            before = by_source.get(source, (0.0, 0))
            by_source[source] = (before[0] + summed, before[1] + count)
        return by_source


def token_losses(model: VisionLanguageModel, batch: PackedBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy of every labelled token, for reading; :func:`language_model_loss` can be differentiated.

    Returns:
        Positions with a label, shape (M,), and their losses, float32, shape (M,).
    """
    where, _, losses = _weighted_losses(model, batch)
    return where.to(losses.device), losses


def _weighted_losses(
    model: VisionLanguageModel, batch: PackedBatch, share: TokenShare | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Positions with a label, on the CPU, the weighted sum of their losses, and each loss.

    Logits are computed at labelled positions only: prompts and pictures cost no row of the vocabulary matrix. Where
    those are is looked up on the CPU, so that nobody waits for a GPU.
    """
    labels, device = batch.on_host.labels, batch.tokens.device
    rows = share.rows.cpu() if share else torch.arange(batch.num_tokens)
    here = (labels[rows] != IGNORE_INDEX).nonzero().flatten()
    where = rows[here]
    taken, placed = (index.to(device, non_blocking=True) for index in (here, where))
    hidden = model(batch, share=share) if share else model(batch)
    total, losses = linear_cross_entropy(
        hidden[taken], model.language.lm_head.weight, batch.labels[placed], batch.loss_weights[placed]
    )
    return where, total, losses


def language_model_loss(
    model: VisionLanguageModel, batch: PackedBatch, share: TokenShare | None = None
) -> LanguageModelLoss:
    """Weighted next-token loss of a packed batch, or of the tokens that are this process's share of it."""
    where, total, losses = _weighted_losses(model, batch, share)
    host = batch.on_host
    # Segment of each labelled token, to split the loss by source.
    segments = torch.searchsorted(host.cu_seqlens, where, right=True) - 1
    return LanguageModelLoss(total, float(host.loss_weights[where].sum()), losses, segments, batch.sources)
