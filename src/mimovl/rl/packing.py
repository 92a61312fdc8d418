"""Groups laid end to end for the update: each prompt once, its pictures once, the answers behind it.

    prompt | answer 1 | answer 2 | … | next prompt | …          attention: rl/shared_prefix.py

The first token of an answer is predicted from the prompt's last, so that row of the hidden states serves every answer
of the group; the last token of an answer predicts nothing and is not in the pack.

Legend: N tokens of a pack, M sampled tokens predicted in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from mimovl.data import Encoded, collate
from mimovl.model import VisionLanguageModel
from mimovl.rl.config import Normaliser
from mimovl.rl.shared_prefix import Family
from mimovl.types import IGNORE_INDEX, PackedBatch, Rollout, RolloutGroup

__all__ = ["PolicyPack", "pack_groups"]


@dataclass
class PolicyPack:
    """Groups laid end to end."""

    batch: PackedBatch
    families: list[Family]
    rows: torch.Tensor
    """Row of the hidden states that predicts each sampled token, shape (M,)."""
    targets: torch.Tensor
    """The sampled tokens, shape (M,)."""
    advantages: torch.Tensor
    """Of each token's answer, shape (M,)."""
    shares: torch.Tensor
    """Part of the loss each token makes up, shape (M,); over a whole update they sum to 1."""
    sampled_logprobs: torch.Tensor
    """What the sampling engine recorded, shape (M,)."""


def pack_groups(
    groups: Sequence[RolloutGroup],
    prompts: Sequence[Encoded],
    model: VisionLanguageModel,
    length: int,
    *,
    num_groups: int | None = None,
    normaliser: Normaliser = "group",
) -> list[PolicyPack]:
    """Lay groups into packs of at most ``length`` tokens.

    A group that is longer is split between its answers, with the prompt before each part: the gradient is a sum over
    answers, so only the sharing of the prompt is lost. A single answer that is longer has a pack of its own.

    Args:
        groups: with advantages set.
        prompts: each group's encoded prompt.
        model: gives the token ids and merge size.
        length: tokens of a pack.
        num_groups: groups of the whole update, if these are only some of them.
        normaliser: what each token's share in the loss is.
    """
    num_groups = num_groups or len(groups)
    packs: list[PolicyPack] = []
    pending: list[_Part] = []
    used = 0
    for group, prompt in zip(groups, prompts, strict=True):
        for rollouts, size in _parts(group, prompt, length):
            if pending and used + size > length:
                packs.append(_pack(pending, num_groups, normaliser, model))
                pending, used = [], 0
            pending.append(_Part(group, prompt, rollouts))
            used += size
    if pending:
        packs.append(_pack(pending, num_groups, normaliser, model))
    return packs


@dataclass(frozen=True)
class _Part:
    """A prompt with some of its answers."""

    group: RolloutGroup
    prompt: Encoded
    rollouts: Sequence[Rollout]


def _parts(group: RolloutGroup, prompt: Encoded, length: int) -> Iterator[tuple[Sequence[Rollout], int]]:
    """As many answers as fit behind the prompt, at least one, with the tokens of both."""
    start, used = 0, prompt.num_tokens
    for number, rollout in enumerate(group.rollouts):
        size = len(rollout.completion.tokens) - 1
        if number > start and used + size > length:
            yield group.rollouts[start:number], used
            start, used = number, prompt.num_tokens
        used += size
    yield group.rollouts[start:], used


def _pack(
    members: Sequence[_Part],
    num_groups: int,
    normaliser: Normaliser,
    model: VisionLanguageModel,
) -> PolicyPack:
    pieces: list[Encoded] = []
    families, rows, targets, advantages, shares, logprobs = [], [], [], [], [], []
    start = 0
    for member in members:
        group, prompt = member.group, member.prompt
        pieces.append(prompt)
        last = start + prompt.num_tokens - 1
        start += prompt.num_tokens
        after = int(prompt.positions[:, -1].max()) + 1
        group_tokens = sum(len(rollout.completion.tokens) for rollout in group.rollouts)
        for rollout in member.rollouts:
            tokens = torch.tensor(rollout.completion.tokens)
            count = len(tokens)
            parts = group_tokens if normaliser == "group" else count * len(group.rollouts)
            rows.append(torch.tensor([last, *range(start, start + count - 1)]))
            targets.append(tokens)
            advantages.append(torch.full((count,), rollout.advantage))
            shares.append(torch.full((count,), 1.0 / (num_groups * parts)))
            logprobs.append(torch.tensor(rollout.completion.logprobs))
            if count > 1:
                pieces.append(_answer(prompt, tokens[:-1], after))
                start += count - 1
        families.append(
            Family(prompt.num_tokens, tuple(len(rollout.completion.tokens) - 1 for rollout in member.rollouts))
        )
    config = model.config
    batch = collate(
        pieces,
        visual_token_ids=(config.image_token_id, config.video_token_id),
        merge_unit=config.vision.merge_unit,
    )
    return PolicyPack(
        batch,
        families,
        torch.cat(rows),
        torch.cat(targets),
        torch.cat(advantages),
        torch.cat(shares),
        torch.cat(logprobs),
    )


def _answer(prompt: Encoded, tokens: torch.Tensor, position: int) -> Encoded:
    """Tokens of a completion, positions counting on from the prompt's."""
    positions = (position + torch.arange(len(tokens))).expand(3, -1)
    return Encoded(prompt.id, prompt.source, tokens, positions, torch.full((len(tokens),), IGNORE_INDEX))
