"""One new token of each running sequence against the pages it reads: attention of a decoding step.

Attention over pages is the attention over all their tokens, put together from its parts: each page gives a mix of its
values and the logarithm of its normaliser, and the parts of a sequence are added with these as weights (as in
FlashDecoding). So

- the CPU reads the pool where it lies, page by page, nothing is gathered and no sequence is padded to the longest,
- a prompt's pages are read once for all samples of its group (cascade attention),
- a sequence's sums do not depend on what else is in the batch: its tokens are the same to the bit in any company.

On CUDA ``TableAttention`` does all sequences of a step by block table.

Legend: B sequences, G pages read, T tokens of a page, R samples that share a page, H query heads, K key/value heads,
g query heads of a key/value head, D head dimension.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F

from mimovl.generate.page_pool import PagePool
from mimovl.generate.sequence import Running
from mimovl.model import PackedAttention

__all__ = ["MIN_ROWS", "PageAttention", "RecordingAttention", "TableAttention"]

MIN_ROWS = 4
"""Rows from which on a row of a matrix product does not depend on how many there are; fewer take other kernels."""

_page_attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default
"""What ``scaled_dot_product_attention`` calls on the CPU; asked directly it also tells the logarithm of normalisers."""


class RecordingAttention:
    """Packed attention that keeps every layer's keys and values: the prefill."""

    def __init__(self, inner: PackedAttention) -> None:
        self.inner = inner
        self.keys: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []

    def __call__(self, layer: int, q_NHD: torch.Tensor, k_NKD: torch.Tensor, v_NKD: torch.Tensor) -> torch.Tensor:
        """See ``mimovl.model.Attention``."""
        self.keys.append(k_NKD)
        self.values.append(v_NKD)
        return self.inner(layer, q_NHD, k_NKD, v_NKD)


class PageAttention:
    """A decoding step on the CPU.

    Args:
        shared: pool of the prompts' pages.
        own: pool of the samples' pages; each sequence's last page has room for the new token.
        running: the sequences, one a row; rows beyond them are of no sequence, and nothing is said of their result.
        rows: of the queries, at least as many.
        heads: query heads of a key/value head.
    """

    def __init__(
        self, shared: PagePool, own: PagePool, running: Sequence[Running], rows: int, heads: int = MIN_ROWS
    ) -> None:
        self.shared, self.own, self.active = shared, own, len(running)
        size, high = own.page_tokens, own.high
        counts = np.array([len(sequence.own) for sequence in running])
        offsets = np.array([sequence.own_length for sequence in running]) - (counts - 1) * size
        last = np.array([sequence.own[-1] for sequence in running])
        live = np.fromiter(itertools.chain.from_iterable(sequence.own for sequence in running), np.int64)
        owner = np.repeat(np.arange(self.active), counts)
        reader, filled = np.zeros(high, np.int64), np.full(high, size)
        reader[live] = owner
        filled[last] = offsets + 1
        self.page, self.offset, self.reader = map(torch.from_numpy, (last, offsets, reader))
        seen = torch.arange(size) < torch.from_numpy(filled)[:, None, None, None]
        self.mask = torch.zeros(high, 1, 1, size, dtype=own.keys.dtype).masked_fill_(~seen, float("-inf"))

        members: dict[int, list[int]] = {}
        for row, sequence in enumerate(running):
            if sequence.group.pages:
                members.setdefault(id(sequence.group), []).append(row)
        most = max(map(len, members.values()), default=0)
        # Queries of a page come to a multiple of MIN_ROWS: the kernel takes them in blocks, and none shall be smaller.
        unit = MIN_ROWS // math.gcd(MIN_ROWS, heads)
        sharers = -(-most // unit) * unit
        ahead = np.array([len(sequence.group.pages) for sequence in running])
        first = shared.high * sharers if most else 0
        nothing = first + high
        # Parts of each row in the order of its sequence: the prompt's pages, then its own; the rest is nothing.
        parts = np.full((rows, int((ahead + counts).max())), nothing)
        parts[self.active :] = first
        place = np.arange(len(live)) - np.repeat(np.cumsum(counts) - counts, counts)
        parts[owner, ahead[owner] + place] = first + live
        self.readers = torch.zeros(0, dtype=torch.long)
        if most:
            readers = np.zeros((shared.high, sharers), np.int64)
            for sharing in members.values():
                pages = np.array(running[sharing[0]].group.pages)
                readers[pages, : len(sharing)] = sharing
                parts[sharing, : len(pages)] = pages * sharers + np.arange(len(sharing))[:, None]
            self.readers = torch.from_numpy(readers.ravel())
        self.sharers = sharers
        self.shape = parts.shape
        self.parts = torch.from_numpy(parts.ravel())

    def __call__(self, layer: int, q_NHD: torch.Tensor, k_NKD: torch.Tensor, v_NKD: torch.Tensor) -> torch.Tensor:
        """See ``mimovl.model.Attention``."""
        rows, heads, size = q_NHD.shape
        kv_heads = k_NKD.shape[1]
        keys, values = self.own.keys[layer], self.own.values[layer]
        keys[self.page, self.offset] = k_NKD[: self.active]
        values[self.page, self.offset] = v_NKD[: self.active]
        # Query heads that share a key head stand in for query positions, so keys are never repeated. The kernel's own
        # order is (position, head), so with queries in it nothing is ever transposed.
        q_BgKD = q_NHD.view(rows, kv_heads, -1, size).transpose(1, 2).contiguous()
        high = self.own.high
        out, scale = _page_attention(
            q_BgKD.index_select(0, self.reader).transpose(1, 2),
            keys[:high].transpose(1, 2),
            values[:high].transpose(1, 2),
            attn_mask=self.mask,
        )
        outs, scales = [out.transpose(1, 2).reshape(high, heads, size)], [scale.transpose(1, 2).reshape(high, heads)]
        if self.sharers:
            high = self.shared.high
            q_GRKD = q_BgKD.index_select(0, self.readers).view(high, -1, kv_heads, size)
            out, scale = _page_attention(
                q_GRKD.transpose(1, 2),
                self.shared.keys[layer, :high].transpose(1, 2),
                self.shared.values[layer, :high].transpose(1, 2),
            )
            outs.insert(0, out.transpose(1, 2).reshape(-1, heads, size))
            scales.insert(0, scale.transpose(1, 2).reshape(-1, heads))
        # What stands for no part: weight zero, of something finite.
        outs.append(outs[0][:1])
        scales.append(scales[0].new_full((1, heads), float("-inf")))
        weight = torch.cat(scales).index_select(0, self.parts).view(*self.shape, heads).softmax(1)
        mixed = torch.cat(outs).index_select(0, self.parts).view(*self.shape, heads, size)
        joined = (mixed * weight.unsqueeze(-1)).sum(1).to(q_NHD.dtype)
        return joined.view(rows, -1, kv_heads, size).transpose(1, 2).reshape(rows, heads, size)


class TableAttention:
    """A decoding step by block table, in one call for all sequences: CUDA, and the referee of the other.

    On CUDA a kernel of ours reads the pages where they lie (``paged_kernel``); elsewhere they are gathered.

    Args:
        pool: one pool for prompts and samples.
        table: pages of each sequence in order, anything behind them, shape (B, n), int32.
        lengths: tokens each has cached, the new one not counted, shape (B,), int32.
    """

    def __init__(self, pool: PagePool, table: torch.Tensor, lengths: torch.Tensor) -> None:
        self.pool, self.table = pool, table
        size = pool.page_tokens
        page = table.gather(1, (lengths // size).long()[:, None])[:, 0].long()
        self.slot = page * size + lengths % size
        """Where the new tokens go, counted in tokens of the pool."""
        self.seen = lengths + 1
        self.mix = _kernel() if pool.keys.is_cuda else _gathered

    def __call__(self, layer: int, q_NHD: torch.Tensor, k_NKD: torch.Tensor, v_NKD: torch.Tensor) -> torch.Tensor:
        """See ``mimovl.model.Attention``."""
        keys, values = self.pool.keys[layer], self.pool.values[layer]
        keys.flatten(0, 1).index_copy_(0, self.slot, k_NKD)
        values.flatten(0, 1).index_copy_(0, self.slot, v_NKD)
        return self.mix(q_NHD, keys, values, self.table, self.seen)


def _gathered(
    q_BHD: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, table: torch.Tensor, lengths: torch.Tensor
) -> torch.Tensor:
    """What ``paged_kernel.paged_attention`` computes, the plain way."""
    k, v = (stored[table.long()].flatten(1, 2).transpose(1, 2) for stored in (keys, values))
    seen = torch.arange(k.shape[2], device=table.device) < lengths[:, None]
    q = q_BHD.view(len(q_BHD), k.shape[1], -1, q_BHD.shape[-1])
    return F.scaled_dot_product_attention(q, k, v, attn_mask=seen[:, None, None, :]).flatten(1, 2)


def _kernel() -> Callable[..., torch.Tensor]:
    """Ours, where Triton is installed (it comes with torch for CUDA); else pages are gathered there, too."""
    try:
        from mimovl.generate.paged_kernel import paged_attention
    except ImportError:
        return _gathered
    return paged_attention
