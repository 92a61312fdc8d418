"""Attention of a decoding step over pages on CUDA, in Triton: FlashDecoding with a block table.

A sequence's keys are cut into spans of a fixed number of tokens. One program mixes one span for the query heads of one
key/value head; a second kernel adds the spans with the logarithms of their normalisers as weights. A span's bounds do
not depend on what else is in the batch, so neither do a sequence's sums. Programs behind the end of a sequence
leave at once: how wide the table is costs nothing, and one recorded graph serves every length it has room for.

Written here because torch's ``varlen_attn`` reads pages only from 2.13 on, and only in half precision.

Legend: B sequences, H query heads, K key/value heads, D head dimension, G pages, T tokens of a page, n pages of a row.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

__all__ = ["SPAN", "paged_attention"]

SPAN = 512
"""Tokens of a span: long enough to keep a processor busy, short enough that a few long sequences fill the GPU."""
BLOCK = 64
"""Keys a program reads at a time."""


def paged_attention(
    q_BHD: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, table: torch.Tensor, lengths: torch.Tensor
) -> torch.Tensor:
    """Values mixed by one query a sequence over all its tokens.

    Args:
        q_BHD: queries, shape (B, H, D), on the device of the pages.
        keys: of a layer, shape (G, T, K, D).
        values: likewise.
        table: pages of each sequence in order, anything behind them, shape (B, n), int32.
        lengths: tokens each sees, shape (B,), int32, at least 1.

    Returns:
        Shape (B, H, D), in the dtype of the queries.
    """
    rows, heads, size = q_BHD.shape
    page, kv_heads = keys.shape[1], keys.shape[2]
    spans = -(-table.shape[1] * page // SPAN)
    parts = torch.empty((rows, heads, spans, size), dtype=torch.float32, device=q_BHD.device)
    weights = torch.empty((rows, heads, spans), dtype=torch.float32, device=q_BHD.device)
    out = torch.empty_like(q_BHD, memory_format=torch.contiguous_format)
    shape = {"HEADS": heads, "KV_HEADS": kv_heads, "SIZE": size, "WIDE": triton.next_power_of_2(size), "SPAN": SPAN}
    group = max(16, triton.next_power_of_2(heads // kv_heads))  # matrix units take 16 rows at least
    _mix_spans[(rows, kv_heads, spans)](
        q_BHD.contiguous(), keys, values, table, lengths, parts, weights,
        keys.stride(0), keys.stride(1), keys.stride(2), table.stride(0), size**-0.5, spans,
        PAGE=page, BLOCK=BLOCK, GROUP=group, **shape,
    )  # fmt: skip
    _join_spans[(rows, heads)](parts, weights, lengths, out, spans, **shape)
    return out


@triton.jit
def _mix_spans(
    q, keys, values, table, lengths, parts, weights, page_stride, token_stride, head_stride, table_stride, scale, spans,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, SIZE: tl.constexpr, WIDE: tl.constexpr, SPAN: tl.constexpr,
    PAGE: tl.constexpr, BLOCK: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    """One span of one sequence for one key/value head."""
    row, kv_head, span = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    length = tl.load(lengths + row)
    start = span * SPAN
    if start >= length:
        return
    sharing: tl.constexpr = HEADS // KV_HEADS
    member = tl.arange(0, GROUP)
    head = kv_head * sharing + member
    place = tl.arange(0, WIDE)
    real = (member < sharing)[:, None] & (place < SIZE)[None, :]
    query = tl.load(q + (row * HEADS + head)[:, None] * SIZE + place[None, :], mask=real, other=0.0)
    largest = tl.full([GROUP], float("-inf"), tl.float32)
    total = tl.zeros([GROUP], tl.float32)
    mixed = tl.zeros([GROUP, WIDE], tl.float32)
    for first in range(start, tl.minimum(start + SPAN, length), BLOCK):
        token = first + tl.arange(0, BLOCK)
        seen = token < length
        page = tl.load(table + row * table_stride + token // PAGE, mask=seen, other=0).to(tl.int64)
        lies = page * page_stride + (token % PAGE) * token_stride + kv_head * head_stride
        inside = seen[:, None] & (place < SIZE)[None, :]
        key = tl.load(keys + lies[:, None] + place[None, :], mask=inside, other=0.0)
        value = tl.load(values + lies[:, None] + place[None, :], mask=inside, other=0.0)
        score = tl.dot(query, tl.trans(key), input_precision="ieee") * scale
        score = tl.where(seen[None, :], score, float("-inf"))
        highest = tl.maximum(largest, tl.max(score, 1))
        before = tl.exp(largest - highest)
        share = tl.exp(score - highest[:, None])
        total = total * before + tl.sum(share, 1)
        mixed = mixed * before[:, None] + tl.dot(share.to(value.dtype), value, input_precision="ieee")
        largest = highest
    where = (row * HEADS + head) * spans + span
    tl.store(parts + where[:, None] * SIZE + place[None, :], mixed / total[:, None], mask=real)
    tl.store(weights + where, largest + tl.log(total), mask=member < sharing)


@triton.jit
def _join_spans(
    parts, weights, lengths, out, spans,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, SIZE: tl.constexpr, WIDE: tl.constexpr, SPAN: tl.constexpr,
):  # fmt: skip
    """All spans of one sequence for one head."""
    row, head = tl.program_id(0), tl.program_id(1)
    written = tl.cdiv(tl.load(lengths + row), SPAN)
    first = (row * HEADS + head) * spans
    place = tl.arange(0, WIDE)
    largest = tl.load(weights + first)
    total = 1.0
    mixed = tl.load(parts + first * SIZE + place, mask=place < SIZE, other=0.0)
    for span in range(1, written):
        weight = tl.load(weights + first + span)
        part = tl.load(parts + (first + span) * SIZE + place, mask=place < SIZE, other=0.0)
        highest = tl.maximum(largest, weight)
        before, beside = tl.exp(largest - highest), tl.exp(weight - highest)
        mixed = mixed * before + part * beside
        total = total * before + beside
        largest = highest
    tl.store(out + (row * HEADS + head) * SIZE + place, (mixed / total).to(out.dtype.element_ty), mask=place < SIZE)
