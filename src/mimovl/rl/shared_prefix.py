"""Attention of the update: a group's prompt stands in the pack once, and every answer to it sees it.

    pack:   prompt | answer | answer | … | prompt | answer | …

An answer's tokens attend to their own answer causally and to the whole of their prompt. On the CPU the two parts are
computed apart and added with the logarithms of their normalisers as weights, as in FlashAttention; backward hands the
joint result and joint normaliser to the same kernel for each part, which is exact (ring attention does the same). No
mask is made, nothing is padded to the longest, and the prompt's keys are read once for all answers.

Elsewhere each answer is given its own copy of the prompt's keys and values: on CUDA in half precision one call of the
variable-length flash kernel does all of them, else they are computed segment by segment.

Legend: N tokens of a pack, S segments, L padded length, H query heads, K key/value heads, g query heads of a key/value
head, D head dimension.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from mimovl.model import flash_attention, flash_takes

__all__ = ["Family", "SharedPrefixAttention"]

_forward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default
_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward.default


class Family(NamedTuple):
    """A prompt and the answers behind it: lengths in the pack, in tokens."""

    prompt: int
    answers: tuple[int, ...]
    """An answer of one token has no token in the pack: nothing is predicted from it."""


class SharedPrefixAttention:
    """What sees what in a pack of families.

    Args:
        families: in the order of the pack.
        device: of the pack.
        by_segment: compute the plain way, segment by segment, wherever it runs; the referee of the tests.
    """

    def __init__(self, families: Sequence[Family], device: torch.device, *, by_segment: bool = False) -> None:
        self.pairs: list[tuple[slice, slice]] = []
        """(answers of a family, its prompt): rows of queries, rows of keys."""
        segments: list[tuple[int, int, int]] = []
        start = 0
        for family in families:
            prompt = start
            segments.append((start, family.prompt, prompt))
            start += family.prompt
            for length in family.answers:
                if length:
                    segments.append((start, length, prompt))
                    start += length
            if start > prompt + family.prompt:
                self.pairs.append((slice(prompt + family.prompt, start), slice(prompt, prompt + family.prompt)))
        self.segments = segments
        """(first row, length, first row of the prompt)."""
        self.prompts = {prompt: length for start, length, prompt in segments if start == prompt}
        """Length of the prompt that begins in a row."""
        self.buckets = [] if by_segment or device.type != "cpu" else _buckets(segments)
        self.device = device
        self._flash = None if by_segment else flash_attention(device)
        self._layout = self._lay_out() if self._flash else None

    def __call__(self, layer: int, q_NHD: torch.Tensor, k_NKD: torch.Tensor, v_NKD: torch.Tensor) -> torch.Tensor:
        """See ``mimovl.model.Attention``."""
        if self.buckets:
            joined: torch.Tensor = _Joined.apply(q_NHD, k_NKD, v_NKD, self)  # type: ignore[no-untyped-call]
            return joined
        if self._flash and self._layout and flash_takes(q_NHD):
            keys, q_starts, k_starts, longest_q, longest_k = self._layout
            k_NKD, v_NKD = k_NKD.index_select(0, keys), v_NKD.index_select(0, keys)
            return self._flash(q_NHD, k_NKD, v_NKD, q_starts, k_starts, longest_q, longest_k, True)
        pieces = []
        for start, length, prompt in self.segments:
            rows = self._seen(start, length, prompt).to(self.device)
            q, k, v = (x.transpose(0, 1)[None] for x in (q_NHD[start : start + length], k_NKD[rows], v_NKD[rows]))
            seen = torch.ones(length, len(rows), dtype=torch.bool, device=self.device).tril(len(rows) - length)
            pieces.append(F.scaled_dot_product_attention(q, k, v, attn_mask=seen, enable_gqa=True)[0].transpose(0, 1))
        return torch.cat(pieces)

    def _seen(self, start: int, length: int, prompt: int) -> torch.Tensor:
        """Rows whose keys the last token of a segment sees, in order."""
        own = torch.arange(start, start + length)
        if start == prompt:
            return own
        return torch.cat([torch.arange(prompt, prompt + self.prompts[prompt]), own])

    def _lay_out(self) -> _Layout:
        """What a query sees stands at the end of its keys, as causal attention of unequal lengths has it."""
        rows = [self._seen(*segment) for segment in self.segments]
        lengths = [[length for _, length, _ in self.segments], [len(seen) for seen in rows]]
        starts = [torch.tensor([0, *some]).cumsum(0).to(self.device, torch.int32) for some in lengths]
        every = torch.cat(rows).to(self.device)
        return _Layout(every, starts[0], starts[1], max(lengths[0]), max(lengths[1]))


class _Layout(NamedTuple):
    """Every segment with a copy of all keys it sees: the same in every layer."""

    rows: torch.Tensor
    """Of the keys, segment after segment."""
    query_starts: torch.Tensor
    key_starts: torch.Tensor
    longest_query: int
    longest_key: int


class _Bucket(NamedTuple):
    """Segments of about one length, padded behind their end, where causal attention does not look."""

    gather: torch.Tensor
    """Row of each place, shape (S · L,); any row for padding."""
    valid: torch.Tensor | None
    """Places that are no padding; None where there is none."""
    rows: torch.Tensor
    """Rows of the valid places."""
    shape: tuple[int, int]
    """(S, L)."""


def _buckets(segments: Sequence[tuple[int, int, int]], step: int = 16) -> list[_Bucket]:
    """Segments by length, rounded up to a multiple of ``step``, or of an eighth of it where that is more."""
    by_length: dict[int, list[tuple[int, int]]] = {}
    for start, length, _ in segments:
        unit = max(step, 1 << max(0, (length // 8).bit_length() - 1))
        by_length.setdefault(-(-length // unit) * unit, []).append((start, length))
    buckets = []
    for padded, members in by_length.items():
        padded = max(length for _, length in members)
        starts, lengths = (torch.tensor(column)[:, None] for column in zip(*members, strict=True))
        place = torch.arange(padded)[None, :]
        inside = place < lengths
        rows = torch.where(inside, starts + place, starts)
        valid = None if bool(inside.all()) else inside.flatten().nonzero().flatten()
        flat = rows.flatten()
        buckets.append(_Bucket(flat, valid, flat if valid is None else flat[valid], (len(members), padded)))
    return buckets


class _Joined(torch.autograd.Function):
    """Causal attention within every segment, joined with that of answers to their prompt."""

    @staticmethod
    def forward(
        ctx: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, plan: SharedPrefixAttention
    ) -> torch.Tensor:
        """Shapes (N, H, D) and (N, K, D) in, (N, H, D) out."""
        size = k.shape[1]
        out = torch.empty_like(q)
        scale = q.new_empty(q.shape[:2], dtype=torch.promote_types(q.dtype, torch.float32))
        for bucket in plan.buckets:
            mixed, weight = _forward(*_spread(bucket, q, k, v, size), is_causal=True)
            out[bucket.rows] = _rows(bucket, mixed)
            scale[bucket.rows] = _rows(bucket, weight.unsqueeze(-1))[..., 0]
        for answers, prompt in plan.pairs:
            mixed, weight = _forward(_fold(q[answers], size), _lay(k[prompt]), _lay(v[prompt]))
            count = answers.stop - answers.start
            mixed, weight = _unfold(mixed, size, count), _unfold(weight.unsqueeze(-1), size, count)[..., 0]
            total = torch.logaddexp(scale[answers], weight)
            before, beside = ((part - total).exp().unsqueeze(-1) for part in (scale[answers], weight))
            out[answers] = (out[answers] * before + mixed * beside).to(out.dtype)
            scale[answers] = total
        ctx.plan = plan
        ctx.save_for_backward(q, k, v, out, scale)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Each part with the joint result and normaliser: probabilities are then those of the whole."""
        q, k, v, out, scale = ctx.saved_tensors
        plan, size = ctx.plan, k.shape[1]
        grad = grad.contiguous()
        grads = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        for bucket in plan.buckets:
            shape = bucket.shape
            given = grad[bucket.gather]
            if bucket.valid is not None:
                padded = torch.zeros_like(given)
                padded[bucket.valid] = given[bucket.valid]
                given = padded
            parts = _backward(
                _arrange(given, shape, size),
                *_spread(bucket, q, k, v, size),
                _arrange(out[bucket.gather], shape, size),
                _arrange(scale[bucket.gather].unsqueeze(-1), shape, size)[..., 0].contiguous(),
                *(0.0, True),
            )
            for total, part in zip(grads, parts, strict=True):
                total[bucket.rows] = _rows(bucket, part if total is grads[0] else part.sum(1, keepdim=True))
        for answers, prompt in plan.pairs:
            parts = _backward(
                *(_fold(grad[answers], size), _fold(q[answers], size), _lay(k[prompt]), _lay(v[prompt])),
                _fold(out[answers], size),
                _fold(scale[answers].unsqueeze(-1), size)[..., 0].contiguous(),
                *(0.0, False),
            )
            grads[0][answers] += _unfold(parts[0], size, answers.stop - answers.start)
            for total, part in zip(grads[1:], parts[1:], strict=True):
                total[prompt] += part[0].transpose(0, 1)
        return *grads, None


def _arrange(x: torch.Tensor, shape: tuple[int, int], kv_heads: int) -> torch.Tensor:
    """(S · L, heads, D) as (S · K, heads / K, L, D), contiguous."""
    count, length = shape
    return (
        x.view(count, length, kv_heads, -1, x.shape[-1])
        .permute(0, 2, 3, 1, 4)
        .reshape(count * kv_heads, -1, length, x.shape[-1])
    )


def _spread(
    bucket: _Bucket, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, kv_heads: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, keys and values of a bucket; keys stand for all query heads that share them, and are not copied."""
    laid = _arrange(q[bucket.gather], bucket.shape, kv_heads)
    keys, values = (_arrange(x[bucket.gather], bucket.shape, kv_heads) for x in (k, v))
    return laid, keys.expand(-1, laid.shape[1], -1, -1), values.expand(-1, laid.shape[1], -1, -1)


def _rows(bucket: _Bucket, x: torch.Tensor) -> torch.Tensor:
    """The inverse of :func:`_arrange`, padding left out: (S · K, heads / K, L, D) as (rows, heads, D)."""
    count, length = bucket.shape
    flat = x.view(count, -1, *x.shape[1:]).permute(0, 3, 1, 2, 4).reshape(count * length, -1, x.shape[-1])
    return flat if bucket.valid is None else flat[bucket.valid]


def _fold(x: torch.Tensor, kv_heads: int) -> torch.Tensor:
    """(rows, H, D) as (1, K, g · rows, D): query heads that share a key head stand in for positions."""
    return x.view(x.shape[0], kv_heads, -1, x.shape[-1]).permute(1, 2, 0, 3).flatten(1, 2)[None]


def _lay(x: torch.Tensor) -> torch.Tensor:
    """(rows, K, D) as (1, K, rows, D)."""
    return x.transpose(0, 1)[None]


def _unfold(x: torch.Tensor, kv_heads: int, rows: int) -> torch.Tensor:
    """The inverse of :func:`_fold`."""
    return x.reshape(kv_heads, -1, rows, x.shape[-1]).permute(2, 0, 1, 3).flatten(1, 2)
