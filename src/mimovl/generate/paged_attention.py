"""One new token of each running sequence against the pages it reads: attention of a decoding step.

Attention over pages is the attention over all their tokens, put together from its parts: each page gives a mix of its
values and the logarithm of its normaliser, and the parts of a sequence are added with these as weights (as in
FlashDecoding). So

- the CPU reads the pool where it lies, page by page, nothing is gathered and no short sequence is padded to a long one,
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
        # Queries of a page come to a multiple of MIN_ROWS: the kernel takes them in blocks, and none shall be smaller.
        unit = MIN_ROWS // math.gcd(MIN_ROWS, heads)
        groups = [(np.array(running[sharing[0]].group.pages), sharing) for sharing in members.values()]
        reads = _readers(groups, shared.high, unit)
        ahead = np.array([len(sequence.group.pages) for sequence in running])
        first = sum(count * sharers for _, count, sharers, _ in reads)
        nothing = first + high
        # Parts of each row in the order of its sequence: the prompt's pages, then its own; the rest is nothing.
        parts = np.full((rows, int((ahead + counts).max())), nothing)
        parts[self.active :] = first
        place = np.arange(len(live)) - np.repeat(np.cumsum(counts) - counts, counts)
        parts[owner, ahead[owner] + place] = first + live
        self.reads: list[tuple[torch.Tensor | None, torch.Tensor]] = []
        """Of the shared pages: which (None for all), and the rows that read each of them."""
        begin = 0
        for chosen, count, sharers, sharing in reads:
            readers = np.zeros((count, sharers), np.int64)
            for pages, read_by in sharing:
                at = pages if chosen is None else np.searchsorted(chosen, pages)
                readers[at, : len(read_by)] = read_by
                parts[read_by, : len(pages)] = begin + at * sharers + np.arange(len(read_by))[:, None]
            page = None if chosen is None else torch.from_numpy(chosen)
            self.reads.append((page, torch.from_numpy(readers.ravel())))
            begin += count * sharers
        lengths = np.ones(rows, np.int64)
        lengths[: self.active] = ahead + counts
        self.joins = [
            (torch.from_numpy(alike), torch.from_numpy(parts[alike, :most].ravel()), (len(alike), most))
            for alike, most in _alike(lengths)
        ]
        """Rows that are put together at once: which, their parts, and how many."""

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
        own = out.transpose(1, 2).reshape(high, heads, size), scale.transpose(1, 2).reshape(high, heads)
        outs: list[torch.Tensor] = []
        scales: list[torch.Tensor] = []
        for chosen, readers in self.reads:
            stored = (self.shared.keys[layer], self.shared.values[layer])
            keys, values = (
                pages[: self.shared.high] if chosen is None else pages.index_select(0, chosen) for pages in stored
            )
            q_GRKD = q_BgKD.index_select(0, readers).view(len(keys), -1, kv_heads, size)
            out, scale = _page_attention(q_GRKD.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2))
            outs.append(out.transpose(1, 2).reshape(-1, heads, size))
            scales.append(scale.transpose(1, 2).reshape(-1, heads))
        outs.append(own[0])
        scales.append(own[1])
        # What stands for no part: weight zero, of something finite.
        outs.append(outs[0].new_zeros((1, heads, size)))
        scales.append(scales[0].new_full((1, heads), float("-inf")))
        all_outs, all_scales = torch.cat(outs), torch.cat(scales)
        joined = torch.empty(rows, heads, size, dtype=q_NHD.dtype)
        for alike, parts, shape in self.joins:
            weight = all_scales.index_select(0, parts).view(*shape, heads).softmax(1)
            mixed = all_outs.index_select(0, parts).view(*shape, heads, size)
            mixed = (mixed * weight.unsqueeze(-1)).sum(1).to(q_NHD.dtype)
            if len(self.joins) == 1:
                joined = mixed
            else:
                joined[alike] = mixed
        return joined.view(rows, -1, kv_heads, size).transpose(1, 2).reshape(rows, heads, size)


Read = tuple[np.ndarray | None, int, int, list[tuple[np.ndarray, list[int]]]]
"""Shared pages that are read at once (None for all up to the last one taken), how many, the rows each has room for, and
the groups they are of: pages and rows."""


def _readers(groups: Sequence[tuple[np.ndarray, list[int]]], high: int, unit: int) -> list[Read]:
    """All pages at once where they lie; those of large groups apart where those of small ones would cost as much."""
    if not groups:
        return []
    sharers = [-(-len(rows) // unit) * unit for _, rows in groups]
    if 2 * sum(len(pages) * most for (pages, _), most in zip(groups, sharers, strict=True)) >= high * max(sharers):
        return [(None, high, max(sharers), list(groups))]
    kinds: dict[int, list[int]] = {}
    for number, most in enumerate(sharers):
        kinds.setdefault((most // unit - 1).bit_length(), []).append(number)
    apart: list[Read] = []
    for numbers in kinds.values():
        pages = np.sort(np.concatenate([groups[number][0] for number in numbers]))
        apart.append((pages, len(pages), max(sharers[n] for n in numbers), [groups[n] for n in numbers]))
    if 2 * sum(count * most for _, count, most, _ in apart) < high * max(sharers):
        return apart
    return [(None, high, max(sharers), list(groups))]


def _alike(lengths: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """Rows with their longest length: all together, or those alike where one long row would have all others padded."""
    longest = int(lengths.max())
    if 2 * int(lengths.sum()) >= len(lengths) * longest:  # whatever is put apart, no more could be saved
        return [(np.arange(len(lengths)), longest)]
    kinds = np.ceil(np.log2(lengths)).astype(np.int64)
    groups = [np.flatnonzero(kinds == kind) for kind in np.unique(kinds)]
    alike = [(rows, int(lengths[rows].max())) for rows in groups]
    if 2 * sum(len(rows) * most for rows, most in alike) < len(lengths) * longest:
        return alike
    return [(np.arange(len(lengths)), longest)]


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
    seen = torch.arange(table.shape[1] * keys.shape[1], device=table.device) < lengths[:, None]
    # What lies behind has weight zero, but zero times what is no number is none either.
    k, v = (
        stored[table.long()].flatten(1, 2).masked_fill(~seen[:, :, None, None], 0.0).transpose(1, 2)
        for stored in (keys, values)
    )
    q = q_BHD.view(len(q_BHD), k.shape[1], -1, q_BHD.shape[-1])
    return F.scaled_dot_product_attention(q, k, v, attn_mask=seen[:, None, None, :]).flatten(1, 2)


def _kernel() -> Callable[..., torch.Tensor]:
    """Ours, where Triton is installed (it comes with torch for CUDA); else pages are gathered there, too."""
    try:
        from mimovl.generate.paged_kernel import paged_attention
    except ImportError:
        return _gathered
    return paged_attention
