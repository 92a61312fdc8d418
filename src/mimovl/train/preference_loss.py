"""Bradley–Terry loss over pairs, with ties by Davidson's extension (MiMo-VL §3.2).

    P(A beats B) = σ(d)                                    d = r_A − r_B      (Bradley & Terry, 1952)

    P(A beats B) = e^{d/2} / (e^{d/2} + e^{−d/2} + ν)
    P(tie)       = ν       / (e^{d/2} + e^{−d/2} + ν)                         (Davidson, 1970)

ν is learned with the model. With ν = 0, where ties were dropped, the second is the first. A tie draws rewards together,
which a dropped pair does not do.

Legend: R pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import logsigmoid

from mimovl.data import TIE
from mimovl.model import RewardNetwork, VisionLanguageModel
from mimovl.types import PackedBatch

__all__ = ["PreferenceLoss", "pair_losses", "preference_loss"]


@dataclass(frozen=True)
class PreferenceLoss:
    """Summed loss of a pack of pairs."""

    total: torch.Tensor
    """Sum over pairs."""
    by_source: dict[str, tuple[float, int]]
    """Summed loss and number of pairs of each source."""


def pair_losses(difference: torch.Tensor, tie: torch.Tensor, log_tie: torch.Tensor | None) -> torch.Tensor:
    """Negative log-likelihood of each pair.

    Args:
        difference: reward of the first answer less that of the second, shape (R,).
        tie: which pairs are ties; in the others the first answer is better. Shape (R,), bool.
        log_tie: log ν; None where ties have no likelihood.

    Returns:
        Shape (R,).
    """
    if log_tie is None:
        assert not bool(tie.any()), "a tie without a likelihood of ties"
        return -logsigmoid(difference)
    half = difference / 2
    level = log_tie.expand_as(half)
    whole = torch.logsumexp(torch.stack([half, -half, level]), dim=0)
    return whole - torch.where(tie, level, half)


def preference_loss(model: VisionLanguageModel, batch: PackedBatch, *, centre: float = 0.0) -> PreferenceLoss:
    """The loss of a pack of pairs, as ``PreferenceProcessor`` encodes them.

    Args:
        model: a reward network.
        batch: pairs end to end.
        centre: weight of (r_A + r_B)², which keeps rewards around zero (Eisenstein et al., 2023): pairs alone leave
            the rewards of a prompt free to drift together.
    """
    assert isinstance(model, RewardNetwork)
    first, second = model.rewards(batch).view(-1, 2).unbind(1)
    tie = batch.labels[batch.cu_seqlens[1::2].long() - 1] == TIE
    losses = pair_losses(first - second, tie, model.reward.log_tie)
    by_source: dict[str, tuple[float, int]] = {}
    for source, loss in zip(batch.sources, losses.tolist(), strict=True):
        summed, count = by_source.get(source, (0.0, 0))
        by_source[source] = (summed + loss, count + 1)
    total = losses.sum()
    if centre:
        total = total + centre * (first + second).square().sum()
    return PreferenceLoss(total, by_source)
