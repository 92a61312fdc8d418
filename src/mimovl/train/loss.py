"""Next-token loss over a packed batch, summed, so that any number of packs can share one normaliser.

Legend: N tokens, M tokens with a label, E hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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
    by_source: dict[str, tuple[float, int]]
    """Summed loss and labelled tokens of each data source."""
    by_sample: tuple[tuple[float, int], ...] = ()
    """The same of each sample, in the order of the batch."""


def token_losses(model: VisionLanguageModel, batch: PackedBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy of every labelled token, for reading; :func:`language_model_loss` can be differentiated.

    Returns:
        Positions with a label, shape (M,), and their losses, float32, shape (M,).
    """
    where, _, losses = _weighted_losses(model, batch)
    return where, losses


def _weighted_losses(
    model: VisionLanguageModel, batch: PackedBatch, share: TokenShare | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Positions with a label, the weighted sum of their losses, and each loss.

    Logits are computed at labelled positions only: prompts and pictures cost no row of the vocabulary matrix.
    """
    hidden = model(batch, share=share) if share else model(batch)
    if share:
        here = (batch.labels[share.rows] != IGNORE_INDEX).nonzero().flatten()
        hidden, where = hidden[here], share.rows[here]
    else:
        where = (batch.labels != IGNORE_INDEX).nonzero().flatten()
        hidden = hidden[where]
    total, losses = linear_cross_entropy(
        hidden, model.language.lm_head.weight, batch.labels[where], batch.loss_weights[where]
    )
    return where, total, losses


def language_model_loss(
    model: VisionLanguageModel, batch: PackedBatch, share: TokenShare | None = None
) -> LanguageModelLoss:
    """Weighted next-token loss of a packed batch, or of the tokens that are this process's share of it."""
    where, total, losses = _weighted_losses(model, batch, share)
    # Segment of each labelled token, to split the loss by source.
    segment = (torch.searchsorted(batch.cu_seqlens, where, right=True) - 1).cpu()
    num_samples = len(batch.sources)
    sums = torch.zeros(num_samples).index_add_(0, segment, losses.cpu())
    counts = torch.bincount(segment, minlength=num_samples)
    by_source: dict[str, tuple[float, int]] = {}
    by_sample = tuple(zip(sums.tolist(), counts.tolist(), strict=True))
    for source, (summed, count) in zip(batch.sources, by_sample, strict=True):
        before = by_source.get(source, (0.0, 0))
        by_source[source] = (before[0] + summed, before[1] + count)
    return LanguageModelLoss(total, float(batch.loss_weights[where].sum()), by_source, by_sample)
