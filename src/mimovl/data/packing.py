"""Packing: samples laid end to end up to a length, no padding, no picture ever cut.

``pack`` decides which samples share a pack from their lengths alone; ``collate`` builds the tensors. Loss and
gradients equal those of the samples one by one (tests/data/test_packing.py).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence

import torch

from mimovl.data.processor import Encoded
from mimovl.errors import DataError
from mimovl.types import PackedBatch

__all__ = ["collate", "fill", "pack"]


def pack(lengths: Sequence[int], max_length: int) -> list[list[int]]:
    """Which samples to lay together: best fit, longest first.

    Args:
        lengths: tokens of each sample.
        max_length: tokens of a pack.

    Returns:
        Indices of the samples in each pack; every sample in exactly one.

    Raises:
        DataError: a sample longer than a pack; names it and both numbers.
    """
    packs: list[list[int]] = []
    room: list[tuple[int, int]] = []  # (tokens left, pack), sorted
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        length = lengths[index]
        if length > max_length:
            raise DataError(f"sample {index} has {length} tokens, a pack holds {max_length}; raise length or drop it")
        place = bisect_left(room, (length, 0))
        left, number = room.pop(place) if place < len(room) else (max_length, len(packs))
        if number == len(packs):
            packs.append([])
        packs[number].append(index)
        insort(room, (left - length, number))
    return packs


def fill(lengths: Sequence[int], max_length: int) -> list[int]:
    """Choose one pack from a window of waiting samples.

    The oldest always goes in, so none waits for ever; then the longest of the others that still fit. Deterministic.

    Args:
        lengths: tokens of the waiting samples, oldest first, none above ``max_length``.
        max_length: tokens of a pack.

    Returns:
        Places of the chosen samples, in the order they are laid.
    """
    chosen = [0]
    room = max_length - lengths[0]
    for place in sorted(range(1, len(lengths)), key=lambda place: (-lengths[place], place)):
        if lengths[place] <= room:
            chosen.append(place)
            room -= lengths[place]
    return chosen


def collate(
    samples: Sequence[Encoded],
    *,
    visual_token_ids: Sequence[int],
    merge_unit: int = 4,
    visuals_elsewhere: bool = False,
) -> PackedBatch:
    """Lay samples end to end.

    Args:
        samples: at least one.
        visual_token_ids: placeholder ids whose embeddings the visual tokens replace (image and video pad).
        merge_unit: patches a visual token stands for.
        visuals_elsewhere: the caller supplies the visual tokens itself, so patches may be absent.

    Raises:
        DataError: placeholders and patches of a sample do not match; names it and both numbers.
    """
    placeholders = torch.tensor(list(visual_token_ids))
    for sample in () if visuals_elsewhere else samples:
        places = int(torch.isin(sample.tokens, placeholders).sum())
        if places * merge_unit != (held := sum(len(patches) for patches in sample.patches)):
            raise DataError(
                f"sample {sample.id}: {places} visual tokens stand for {places * merge_unit} patches, its pictures "
                f"have {held}; encode it with the Processor of the model's checkpoint"
            )
    tokens = torch.cat([sample.tokens for sample in samples])
    lengths = torch.tensor([0, *(sample.num_tokens for sample in samples)])
    pixels = [patches for sample in samples for patches in sample.patches]
    patches = torch.cat(pixels) if pixels else torch.zeros(0, 1176)
    grid = [thw for sample in samples for thw in sample.grid_thw]
    visual_index = torch.isin(tokens, placeholders).nonzero().flatten()
    labels = torch.cat([sample.labels for sample in samples])
    return PackedBatch(
        tokens=tokens,
        positions=torch.cat([sample.positions for sample in samples], dim=1),
        cu_seqlens=lengths.cumsum(0).to(torch.int32),
        labels=labels,
        loss_weights=torch.ones(len(tokens)),
        patches=patches,
        grid_thw=torch.tensor(grid, dtype=torch.long).view(-1, 3),
        visual_index=visual_index,
        sample_ids=[sample.id for sample in samples],
        sources=[sample.source for sample in samples],
    )
