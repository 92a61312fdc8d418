"""A pack of rollouts through the policy: log-probabilities of the sampled tokens, the loss, and what the log reports.

Log-probabilities are over what the engine could sample (placeholders are impossible here too) and in float32, so that
both compute the same distribution. Logits of a large vocabulary exist a chunk at a time and are computed again in
backward.

Legend: M sampled tokens of a pack, E hidden size, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch.utils.checkpoint import checkpoint

from mimovl.generate.sampling import forbid
from mimovl.model import VisionLanguageModel
from mimovl.rl.algorithm import Algorithm, PolicyTokens
from mimovl.rl.on_policy import on_policy_loss
from mimovl.rl.packing import PolicyPack
from mimovl.rl.shared_prefix import SharedPrefixAttention

__all__ = ["PolicyTerms", "policy_logprobs", "policy_terms"]

CHUNK_LOGITS = 2**25
"""Logits that may always exist at once, 128 MiB in float32; what fits is computed plainly. Large models may have a
quarter of the entries of their output matrix: small beside its gradient, and long enough for full speed."""


@dataclass
class PolicyTerms:
    """A pack's contribution to the update."""

    loss: torch.Tensor
    logprob_gap: float
    """Summed absolute difference between sampling and training log-probabilities."""
    entropy: float
    """Summed entropy of the policy at the sampled tokens, nats."""
    num_tokens: int
    figures: dict[str, float] = field(default_factory=dict)
    """Of the algorithm, summed with the tokens' shares."""


def policy_terms(
    model: VisionLanguageModel,
    pack: PolicyPack,
    forbidden: torch.Tensor,
    algorithm: Algorithm = on_policy_loss,
    reference_logprobs: torch.Tensor | None = None,
) -> PolicyTerms:
    """Loss, log-probability gap and entropy of one pack.

    Args:
        model: the policy.
        pack: from :func:`pack_groups`.
        forbidden: ids the engine could not sample.
        algorithm: what becomes of a token's advantage.
        reference_logprobs: of the reference policy, where the algorithm asks for them, shape (M,).
    """
    logprobs, entropies = policy_logprobs(model, pack, forbidden)
    device = logprobs.device
    sampled = pack.sampled_logprobs.to(device)
    tokens = PolicyTokens(logprobs, sampled, pack.advantages.to(device), pack.shares.to(device), reference_logprobs)
    loss, figures = algorithm(tokens)
    gap = (logprobs.detach() - sampled).abs().sum()
    return PolicyTerms(loss, float(gap), float(entropies.sum()), len(logprobs), figures)


def policy_logprobs(
    model: VisionLanguageModel, pack: PolicyPack, forbidden: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability of each sampled token, differentiable, and the entropy of its distribution; shape (M,) each."""
    batch = pack.batch.to(model.device)
    attention = SharedPrefixAttention(pack.families, model.device)
    hidden = model.language(model.embed(batch), batch.positions, attention)
    rows, targets = pack.rows.to(model.device), pack.targets.to(model.device)
    vocabulary = model.config.language.vocab_size
    most = max(CHUNK_LOGITS, model.language.lm_head.weight.numel() // 4)
    if len(rows) * vocabulary <= most:
        return _token_logprobs(hidden[rows], model, targets, forbidden)
    chunks = []
    size = max(1, most // vocabulary)
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        chunks.append(
            checkpoint(_token_logprobs, hidden[rows[part]], model, targets[part], forbidden, use_reentrant=False)
        )
    logprobs, entropies = (torch.cat(column) for column in zip(*chunks, strict=True))
    return logprobs, entropies


def _token_logprobs(
    hidden: torch.Tensor, model: VisionLanguageModel, targets: torch.Tensor, forbidden: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Shape (M, E) to (M,) and (M,)."""
    logprobs = forbid(model.logits(hidden), forbidden).log_softmax(-1)
    with torch.no_grad():
        entropies = -(logprobs.exp() * logprobs.clamp(min=-1e4)).sum(-1)
    return logprobs.gather(-1, targets[:, None])[:, 0], entropies
