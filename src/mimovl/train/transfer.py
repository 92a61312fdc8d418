"""Batches on their way to where they are computed: joined, and copied while the one before is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import torch

from mimovl.types import PackedBatch

__all__ = ["join_packs", "to_device"]


def to_device(batch: PackedBatch, device: torch.device) -> PackedBatch:
    """The batch where it is computed.

    From ordinary memory a GPU copies only after everything it was asked before. From page-locked memory and on a stream
    of its own the copy runs beside that; only what is asked from now on waits for it.
    """
    if device.type != "cuda" or batch.tokens.is_cuda:
        return batch.to(device)
    computing, copying = torch.cuda.current_stream(device), torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    with torch.cuda.stream(copying):
        moved = replace(batch, **{name: getattr(batch, name).pin_memory() for name in _tensors(batch)}).to(device)
    computing.wait_stream(copying)
    for name in _tensors(moved):
        getattr(moved, name).record_stream(computing)
    return moved


def _tensors(batch: PackedBatch) -> list[str]:
    return [field.name for field in fields(batch) if isinstance(getattr(batch, field.name), torch.Tensor)]


def join_packs(packs: Sequence[PackedBatch]) -> PackedBatch:
    """Packs laid end to end as one; no attention across them."""
    if len(packs) == 1:
        return packs[0]
    starts = [0]
    for pack in packs:
        starts.append(starts[-1] + pack.num_tokens)
    bounds = [pack.cu_seqlens[1:] + start for pack, start in zip(packs, starts, strict=False)]
    return PackedBatch(
        tokens=torch.cat([pack.tokens for pack in packs]),
        positions=torch.cat([pack.positions for pack in packs], dim=1),
        cu_seqlens=torch.cat([packs[0].cu_seqlens[:1], *bounds]).to(packs[0].cu_seqlens.dtype),
        labels=torch.cat([pack.labels for pack in packs]),
        loss_weights=torch.cat([pack.loss_weights for pack in packs]),
        patches=torch.cat([pack.patches for pack in packs]),
        grid_thw=torch.cat([pack.grid_thw for pack in packs]),
        visual_index=torch.cat([pack.visual_index + start for pack, start in zip(packs, starts, strict=False)]),
        sample_ids=[name for pack in packs for name in pack.sample_ids],
        sources=[name for pack in packs for name in pack.sources],
    )
