"""The policy gradient of fully on-policy GRPO (MiMo-VL eq. 1): one update a rollout, so the ratio is 1.

    loss = − mean over groups of  (1 / Σ_i |o_i|) Σ_i Σ_j A_i · log π(o_ij)

No clip, no KL, no reference and no second pass for old log-probabilities: with one update on fresh rollouts of the
same parameters the ratio π/π_old is 1 and its gradient is that of log π. Normalised by the tokens of the whole group,
so every token of it weighs the same whatever the length of its answer.

Legend: N tokens of a pack, M sampled tokens among them, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mimovl.data import Encoded, collate
from mimovl.generate.sampling import forbid
from mimovl.model import VisionLanguageModel
from mimovl.types import IGNORE_INDEX, PackedBatch, RolloutGroup

__all__ = ["PolicyPack", "PolicyTerms", "pack_groups", "policy_terms"]


@dataclass
class PolicyPack:
    """Whole groups laid end to end, each picture held once however many rollouts look at it."""

    batch: PackedBatch
    visual_rows: torch.Tensor
    """For every visual place in the pack, which row of the encoded pictures fills it."""
    sampled_logprobs: torch.Tensor
    """What the sampling engine recorded for each labelled token, shape (M,)."""


@dataclass
class PolicyTerms:
    """A pack's contribution to the update."""

    loss: torch.Tensor
    logprob_gap: float
    """Summed absolute difference between sampling and training log-probabilities."""
    entropy: float
    """Summed entropy of the policy at the sampled tokens, nats."""
    num_tokens: int


def pack_groups(
    groups: Sequence[RolloutGroup],
    prompts: Sequence[Encoded],
    model: VisionLanguageModel,
    length: int,
    *,
    num_groups: int | None = None,
) -> list[PolicyPack]:
    """Lay groups into packs of about ``length`` tokens; a group is never split.

    Args:
        groups: with advantages set.
        prompts: each group's encoded prompt.
        model: gives the token ids and merge size.
        length: tokens of a pack; a single longer group has a pack of its own.
        num_groups: groups of the whole update, if these are only some of them.
    """
    num_groups = num_groups or len(groups)
    packs: list[PolicyPack] = []
    pending: list[tuple[RolloutGroup, Encoded]] = []
    used = 0
    for group, prompt in zip(groups, prompts, strict=True):
        size = sum(prompt.num_tokens + len(rollout.completion.tokens) for rollout in group.rollouts)
        if pending and used + size > length:
            packs.append(_pack(pending, num_groups, model))
            pending, used = [], 0
        pending.append((group, prompt))
        used += size
    if pending:
        packs.append(_pack(pending, num_groups, model))
    return packs


def _pack(members: Sequence[tuple[RolloutGroup, Encoded]], num_groups: int, model: VisionLanguageModel) -> PolicyPack:
    """One pack; each sampled token's weight is A / (groups · tokens of its group)."""
    sequences, weights, logprobs, rows = [], [], [], []
    patches, grids = [], []
    first_row = 0
    for group, prompt in members:
        merged = sum(patch.shape[0] for patch in prompt.patches) // model.config.vision.merge_unit
        patches += prompt.patches
        grids += prompt.grid_thw
        group_tokens = sum(len(rollout.completion.tokens) for rollout in group.rollouts)
        for rollout in group.rollouts:
            sequences.append(_continue(prompt, rollout.completion.tokens))
            weight = torch.zeros(sequences[-1].num_tokens)
            weight[prompt.num_tokens - 1 : -1] = rollout.advantage / (num_groups * group_tokens)
            weights.append(weight)
            logprobs.append(torch.tensor(rollout.completion.logprobs))
            rows.append(torch.arange(first_row, first_row + merged))
        first_row += merged
    config = model.config
    batch = collate(
        [Encoded(s.id, s.source, s.tokens, s.positions, s.labels) for s in sequences],
        visual_token_ids=(config.image_token_id, config.video_token_id),
        merge_unit=config.vision.merge_unit,
        visuals_elsewhere=True,
    )
    batch.loss_weights = torch.cat(weights)
    batch.patches = torch.cat(patches) if patches else batch.patches
    batch.grid_thw = torch.tensor(grids, dtype=torch.long).view(-1, 3)
    return PolicyPack(batch, torch.cat(rows), torch.cat(logprobs))


def _continue(prompt: Encoded, tokens: Sequence[int]) -> Encoded:
    """The prompt followed by a completion, whose tokens are the labels."""
    answer = torch.tensor(tokens)
    start = int(prompt.positions[:, -1].max()) + 1
    positions = (start + torch.arange(len(tokens))).expand(3, -1)
    labels = torch.cat([torch.full((prompt.num_tokens - 1,), IGNORE_INDEX), answer, torch.tensor([IGNORE_INDEX])])
    return Encoded(
        prompt.id,
        prompt.source,
        torch.cat([prompt.tokens, answer]),
        torch.cat([prompt.positions, positions], dim=1),
        labels,
    )


def policy_terms(model: VisionLanguageModel, pack: PolicyPack, forbidden: torch.Tensor) -> PolicyTerms:
    """Loss, log-probability gap and entropy of one pack.

    Args:
        model: the policy.
        pack: from :func:`pack_groups`.
        forbidden: ids the engine could not sample; impossible here too, so both compute the same distribution.
    """
    batch = pack.batch.to(model.device)
    visual = None
    if len(batch.patches):
        visual = model.encode(batch.patches, batch.grid_thw)[pack.visual_rows.to(model.device)]
    hidden = model(batch, visual)
    where = (batch.labels != IGNORE_INDEX).nonzero().flatten()
    logprobs = forbid(model.logits(hidden[where]), forbidden).log_softmax(-1)
    chosen = logprobs.gather(-1, batch.labels[where, None])[:, 0]
    loss = -(chosen * batch.loss_weights[where]).sum()
    with torch.no_grad():
        gap = (chosen.cpu() - pack.sampled_logprobs).abs().sum()
        entropy = -(logprobs.exp() * logprobs.clamp(min=-1e4)).sum()
    return PolicyTerms(loss, float(gap), float(entropy), len(where))
