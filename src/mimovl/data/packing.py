"""Packing: samples laid end to end up to a length, no padding, no picture ever cut.

``pack_index`` decides which samples share a pack from their lengths alone; ``collate`` builds the tensors. Loss and
gradients equal those of the samples one by one (tests/data/test_packing.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mimovl.data.processor import Encoded
from mimovl.errors import DataError
from mimovl.types import PackedBatch

__all__ = ["collate"]


def collate(
    samples: Sequence[Encoded],
    *,
    visual_token_ids: Sequence[int],
    merge_unit: int = 4,
    visuals_elsewhere: bool = False,
    join_patches: bool = True,
) -> PackedBatch:
    """Lay samples end to end.

    Args:
        samples: at least one.
        visual_token_ids: placeholder ids whose embeddings the visual tokens replace (image and video pad).
        merge_unit: patches a visual token stands for.
        visuals_elsewhere: the caller supplies the visual tokens itself, so patches may be absent.
        join_patches: False leaves the patches to the caller, who lays those of the samples end to end.

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
    lengths = torch.tensor([0, *(length for sample in samples for length in sample.segments or (sample.num_tokens,))])
    pixels = [patches for sample in samples for patches in sample.patches]
    patches = torch.cat(pixels) if pixels and join_patches else torch.zeros(0, 1176)
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
