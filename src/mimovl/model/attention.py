"""Attention over a packed sequence: every segment on its own, no padding, no mask.

On a GPU in half precision one call of a variable-length flash kernel does all segments: that of the flash-attn package
where it is installed, else ``torch.nn.attention.varlen``. Elsewhere segments of equal length are stacked and handed to
``scaled_dot_product_attention``, so an image's windows cost one call a layer. The textbook alternative, one dense
block-diagonal mask, does the work of every pair of tokens in the pack and is 3.4 times slower on eight segments of 256.

Legend: N packed tokens, H query heads, K key/value heads, D head dimension, S segments, L segment length.
The rollout engine passes an attention of its own with the same call signature, so that one decoder serves both.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from itertools import groupby
from typing import Any, Protocol

import torch
import torch.nn.functional as F

__all__ = ["FLASH_DTYPES", "Attention", "PackedAttention", "Segments", "flash_attention"]

Flash = Callable[
    [torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, int, int, bool],
    torch.Tensor,
]
"""Queries, keys, values, cumulative lengths of queries and keys (int32), the longest of both, whether causal (the last
query sees the last key)."""


FLASH_DTYPES = (torch.bfloat16, torch.float16)
"""What flash kernels compute in."""


def flash_attention(device: torch.device) -> Flash | None:
    """The variable-length flash kernel of a device; None on the CPU. Ask before compiled code runs, not within."""
    return _flash() if device.type == "cuda" else None


@cache
def _flash() -> Flash:
    try:
        from flash_attn import flash_attn_varlen_func as package
    except ImportError:
        from torch.nn.attention.varlen import varlen_attn

        # The call has changed from one release of torch to the next.
        known = inspect.signature(varlen_attn).parameters

        def of_torch(
            q: torch.Tensor,
            k: torch.Tensor,
            v: torch.Tensor,
            cu_q: torch.Tensor,
            cu_k: torch.Tensor,
            max_q: int,
            max_k: int,
            causal: bool,
        ) -> torch.Tensor:
            how: dict[str, Any] = {"window_size": (-1, 0 if causal else -1)}
            if q.shape[1] != k.shape[1] and "enable_gqa" in known:  # 2.11 has no such word, and lets them differ
                how["enable_gqa"] = True
            out = varlen_attn(q, k, v, cu_q, cu_k, max_q, max_k, **how)
            assert isinstance(out, torch.Tensor)
            return out

        return of_torch

    def of_package(
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        cu_q: torch.Tensor,
        cu_k: torch.Tensor,
        max_q: int,
        max_k: int,
        causal: bool,
    ) -> torch.Tensor:
        out: torch.Tensor = package(q, k, v, cu_q, cu_k, max_q, max_k, causal=causal)
        return out

    return of_package


def flash_takes(q: torch.Tensor) -> bool:
    """Whether flash kernels compute queries of this type and head dimension."""
    return q.dtype in FLASH_DTYPES and q.shape[-1] % 8 == 0


class Attention(Protocol):
    """What a decoder layer calls: queries, keys and values of the packed tokens in, mixed values out."""

    def __call__(self, layer: int, q_NHD: torch.Tensor, k_NKD: torch.Tensor, v_NKD: torch.Tensor) -> torch.Tensor:
        """Values mixed by attention, shape (N, H, D); ``layer`` tells a cache which keys and values these are."""
        ...


class Segments:
    """Where segments begin and end in a packed sequence, prepared once and used by every layer.

    Args:
        cu_seqlens: cumulative lengths, shape (S + 1,), first entry 0, increasing.
        bounds: the same numbers where they are at hand: reading those of a GPU waits for it.
    """

    def __init__(self, cu_seqlens: torch.Tensor, bounds: Sequence[int] | None = None) -> None:
        bounds = cu_seqlens.tolist() if bounds is None else bounds
        self.lengths = [end - start for start, end in zip(bounds[:-1], bounds[1:], strict=True)]
        self.empty = not self.lengths
        self.uniform = len(set(self.lengths)) <= 1
        self.bounds = cu_seqlens.to(torch.int32)
        self.longest = max(self.lengths, default=0)
        self.runs: list[int] = []
        """Tokens of each run of neighbours of one length."""
        self.groups: dict[int, list[int]] = {}
        """Length of a segment → numbers of the runs of such segments."""
        for number, (length, run) in enumerate(groupby(self.lengths)):
            self.runs.append(length * len(list(run)))
            self.groups.setdefault(length, []).append(number)


class PackedAttention:
    """Scaled dot-product attention within each segment.

    Args:
        segments: the segments of the packed sequence.
        causal: whether a token sees only itself and those before it.
    """

    def __init__(self, segments: Segments, *, causal: bool) -> None:
        self.segments = segments
        self.causal = causal
        self._flash = flash_attention(segments.bounds.device)

    def __call__(self, layer: int, q_NHD: torch.Tensor, k_NKD: torch.Tensor, v_NKD: torch.Tensor) -> torch.Tensor:
        """Each segment's values mixed by its own queries and keys, shape (N, H, D)."""
        segments = self.segments
        if segments.empty:  # what compiled code reads must not differ with every pack, as the number of segments does
            return q_NHD
        if self._flash is not None and flash_takes(q_NHD):
            bounds, longest = segments.bounds, segments.longest
            return self._flash(q_NHD, k_NKD, v_NKD, bounds, bounds, longest, longest, self.causal)
        return self.by_segment(q_NHD, k_NKD, v_NKD)

    def by_segment(self, q_NHD: torch.Tensor, k_NKD: torch.Tensor, v_NKD: torch.Tensor) -> torch.Tensor:
        """Without a flash kernel: a call for all segments of a length, as many as there are lengths."""
        segments = self.segments
        if segments.uniform:
            return self._stacked(q_NHD, k_NKD, v_NKD, segments.lengths[0])
        # Cut and joined, not gathered by index: whole runs are copied, or seen in place, and so are their gradients.
        pieces = [torch.split(x, segments.runs) for x in (q_NHD, k_NKD, v_NKD)]
        mixed: dict[int, torch.Tensor] = {}
        for length, numbers in segments.groups.items():
            q, k, v = (_joined([piece[number] for number in numbers]) for piece in pieces)
            parts = torch.split(self._stacked(q, k, v, length), [segments.runs[number] for number in numbers])
            mixed |= zip(numbers, parts, strict=True)
        return torch.cat([mixed[number] for number in range(len(mixed))])

    def _stacked(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, length: int) -> torch.Tensor:
        """Segments of one length as a batch; shapes (S · L, heads, D) in, (S · L, H, D) out."""
        q, k, v = (x.reshape(-1, length, *x.shape[1:]).transpose(1, 2) for x in (q, k, v))
        out = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal, enable_gqa=q.shape[1] != k.shape[1])
        return out.transpose(1, 2).flatten(0, 1)


def _joined(parts: list[torch.Tensor]) -> torch.Tensor:
    """End to end; one alone is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(parts)
