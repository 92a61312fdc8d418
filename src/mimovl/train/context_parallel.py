"""One pack's tokens shared by several processes, so that 32K tokens and more fit (all-gathered keys and values).

Every process embeds, normalises and multiplies its own tokens only; before attention all exchange keys and values,
which grouped-query attention has made small (a quarter of the queries in MiMo-7B), and each mixes its own queries. The
result is that of one process: positions come with the tokens and no sample sees another.

Later tokens see more keys, so the tokens are dealt out in 2 · C pieces and process r takes the r-th from both ends
(Llama 3, §3.3.2): all have about the same work. Pictures are dealt out whole, by their patches.

Legend: N tokens of the pack, R of this process, C processes, H query heads, K key/value heads, D head dimension.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F

from mimovl.model import Attention, VisionLanguageModel, flash_attention, flash_takes
from mimovl.types import PackedBatch

__all__ = ["ContextShare", "rows_of_rank"]

# torch 2.13 has other names for both, and warns of the old ones.
_ALL_GATHER = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
_REDUCE_SCATTER = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor


def rows_of_rank(size: int, processes: int, rank: int) -> list[range]:
    """The two pieces of ``size`` tokens that a process takes, in order."""
    bounds = [size * number // (2 * processes) for number in range(2 * processes + 1)]
    return [range(bounds[piece], bounds[piece + 1]) for piece in (rank, 2 * processes - 1 - rank)]


class ContextShare:
    """One process's part of a pack (``mimovl.model.TokenShare``).

    Args:
        batch: the whole pack, the same in every process of the group.
        group: processes that share it.
    """

    def __init__(self, batch: PackedBatch, group: dist.ProcessGroup) -> None:
        self._batch, self._group = batch, group
        size, processes, rank = batch.num_tokens, group.size(), group.rank()
        self._device = batch.tokens.device
        pieces = [rows_of_rank(size, processes, one) for one in range(processes)]
        self.rows = self._numbers([row for piece in pieces[rank] for row in piece])
        """Numbers of this process's tokens, ascending, shape (R,)."""
        self.attention: Attention = self._attention
        self._flash = flash_attention(self._device)
        lengths = [sum(map(len, both)) for both in pieces]
        self._longest = max(lengths)
        place = torch.empty(size, dtype=torch.long)
        for one, both in enumerate(pieces):
            numbers = torch.tensor([row for piece in both for row in piece], dtype=torch.long)
            place[numbers] = one * self._longest + torch.arange(len(numbers))
        self._place = place.to(self._device)
        """Where each token of the pack lies in what all processes have gathered."""
        starts = batch.bounds
        self._queries: list[int] = [0]
        self._keys: list[range] = []
        for piece in pieces[rank]:
            low = piece.start
            while low < piece.stop:
                segment = bisect_right(starts, low) - 1
                high = min(piece.stop, starts[segment + 1])
                self._queries.append(self._queries[-1] + high - low)
                self._keys.append(range(starts[segment], high))
                low = high

    def _numbers(self, values: list[int]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.long, device=self._device)

    # ------------------------------------------------------------ attention

    def _attention(self, layer: int, q_NHD: torch.Tensor, k_NKD: torch.Tensor, v_NKD: torch.Tensor) -> torch.Tensor:
        """Causal attention of this process's queries over the keys of all; N is R here."""
        both = torch.stack([k_NKD, v_NKD], dim=1)
        keys, values = self._all(both, self._longest, self._place).unbind(1)
        if self._flash is not None and flash_takes(q_NHD):
            rows, cu_q, cu_k, max_q, max_k = self._flash_bounds
            return self._flash(q_NHD, keys[rows], values[rows], cu_q, cu_k, max_q, max_k, True)
        mixed = [
            _mix(q_NHD[low:high], keys[seen.start : seen.stop], values[seen.start : seen.stop])
            for low, high, seen in zip(self._queries[:-1], self._queries[1:], self._keys, strict=True)
        ]
        return torch.cat(mixed) if mixed else q_NHD

    @cached_property
    def _flash_bounds(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int, int]:
        """Rows of the keys, cumulative lengths of queries and keys, the longest of both."""
        rows = self._numbers([key for piece in self._keys for key in piece])
        lengths = [len(piece) for piece in self._keys]
        bounds = self._numbers([0, *accumulate(lengths)])
        longest = max(high - low for low, high in pairwise(self._queries))
        return rows, self._numbers(self._queries).int(), bounds.int(), longest, max(lengths)

    def _all(self, mine: torch.Tensor, longest: int, place: torch.Tensor) -> torch.Tensor:
        """Rows of all processes in the order of ``place``; gradients flow back to whose they are."""
        padded = F.pad(mine.flatten(1), (0, 0, 0, longest - len(mine)))
        gathered: torch.Tensor = _Gather.apply(padded, self._group)  # type: ignore[no-untyped-call]
        return gathered[place].reshape(len(place), *mine.shape[1:])

    # ------------------------------------------------------------ pictures

    def visual(self, model: VisionLanguageModel) -> torch.Tensor:
        """Visual tokens of the pack, each picture encoded by one process, shape (P / 4 + blank ones, hidden size).

        Who has no picture encodes a blank one; its tokens come last and stand nowhere.
        """
        grid, unit = self._batch.on_host.grid_thw, model.config.vision.merge_unit
        patches = grid.prod(-1).tolist()
        owners = _deal(patches, self._group.size())
        rank = self._group.rank()
        own = [number for number, owner in enumerate(owners) if owner == rank]
        first = sum(patches[: own[0]]) if own else 0
        last = first + sum(patches[number] for number in own)
        blank = None
        if own:
            mine = model.encode(self._batch.patches[first:last], grid[own[0] : own[-1] + 1])
        else:
            blank = model.encode_blank()
            mine = blank[:0]
        counts = [0] * self._group.size()
        place = []
        for size, owner in zip(patches, owners, strict=True):
            place += [(owner, counts[owner] + number) for number in range(size // unit)]
            counts[owner] += size // unit
        longest = max(counts)
        if not longest:
            assert blank is not None
            return blank
        numbers = self._numbers([owner * longest + number for owner, number in place])
        tokens = self._all(mine, longest, numbers)
        return tokens if blank is None else torch.cat([tokens, blank])


def _deal(sizes: list[int], processes: int) -> list[int]:
    """Whose each picture is: neighbours together, about as many patches for each."""
    total, before, owners = sum(sizes), 0, []
    for size in sizes:
        owners.append(min(processes - 1, int((before + size / 2) * processes / total)))
        before += size
    return owners


def _mix(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """The last queries of a segment over its keys so far; shapes (queries, H, D) and (keys, K, D)."""
    mask = None
    if len(q) != len(k):
        mask = torch.ones(len(q), len(k), dtype=torch.bool, device=q.device).tril(len(k) - len(q))
    grouped = q.shape[1] != k.shape[1]
    q, k, v = (x.transpose(0, 1)[None] for x in (q, k, v))
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None, enable_gqa=grouped)
    return out[0].transpose(0, 1)


class _Gather(torch.autograd.Function):
    """Rows of all processes, one process after the other; backward adds up what every process says of one's rows."""

    @staticmethod
    def forward(ctx: Any, mine: torch.Tensor, group: dist.ProcessGroup) -> torch.Tensor:
        """Shape (rows, width) to (C · rows, width)."""
        ctx.group = group
        out = mine.new_empty(group.size() * mine.shape[0], *mine.shape[1:])
        _ALL_GATHER(out, mine.contiguous(), group=group)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        """The sum over the processes of this one's rows."""
        out = gradient.new_empty(gradient.shape[0] // ctx.group.size(), *gradient.shape[1:])
        _REDUCE_SCATTER(out, gradient.contiguous(), group=ctx.group)
        return out, None
