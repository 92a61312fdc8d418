"""How far attention is from where it should be, for thousands of positions in a few operations.

A GPU takes as long for a small operation as for a large one, so the positions of a batch are not looked at one by one:
those that see the same keys (of a sample and a key/value head) lie in a cell, and cells are multiplied side by side.
What goes where is worked out on the CPU and sent at once.

Legend: N tokens of a pack, H query heads, K key/value heads, D head dimension, J guided positions, M pairs of a guided
position and a token it should look at, C cells, Q most positions of a cell, L most keys of a cell, W most tokens that a
position should look at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

__all__ = ["NOTHING", "Guided", "joined", "missing_attention", "places_within", "sample_starts", "spans"]

ENTRIES = 2**26
"""Scores, and numbers of keys, that are computed at once, padding included."""


@dataclass(frozen=True)
class Guided:
    """Where some heads of a layer should look."""

    heads: np.ndarray
    """Query head of each guided position, shape (J,)."""
    positions: np.ndarray
    """The guided positions, shape (J,)."""
    rows: np.ndarray
    """Which of them each pair belongs to, shape (M,), ascending; each has a pair."""
    keys: np.ndarray
    """The token it should look at, shape (M,), of the same sample."""
    shares: np.ndarray | None = None
    """How much of the attention that token should have, shape (M,); None: anywhere among its tokens is right."""

    def __len__(self) -> int:
        return len(self.positions)

    def take(self, numbers: np.ndarray) -> Guided:
        """Some of the positions, by their numbers, ascending."""
        new = np.full(len(self), -1)
        new[numbers] = np.arange(len(numbers))
        kept = new[self.rows] >= 0
        shares = None if self.shares is None else self.shares[kept]
        return Guided(self.heads[numbers], self.positions[numbers], new[self.rows[kept]], self.keys[kept], shares)


NOTHING = Guided(*(np.zeros(0, dtype=np.int64) for _ in range(4)))
"""No position."""


def joined(parts: Sequence[Guided]) -> Guided:
    """One after another; all have shares, or none."""
    before = np.cumsum([0, *(len(part) for part in parts)])
    return Guided(
        np.concatenate([part.heads for part in parts]),
        np.concatenate([part.positions for part in parts]),
        np.concatenate([part.rows + start for part, start in zip(parts, before, strict=False)]),
        np.concatenate([part.keys for part in parts]),
        None if parts[0].shares is None else np.concatenate([part.shares for part in parts if part.shares is not None]),
    )


def missing_attention(
    q_NHD: torch.Tensor, k_NKD: torch.Tensor, guided: Guided, bounds: np.ndarray, *, entries: int = ENTRIES
) -> torch.Tensor:
    """Divergence of causal attention within samples from where it should be, summed over the guided positions.

    Minus the logarithm of the attention on the right tokens, or where its shares are known, the Kullback-Leibler
    divergence from them. Scores and softmax are float32 at least.

    Args:
        q_NHD: queries of a layer.
        k_NKD: its keys.
        guided: where it should look; at least one position.
        bounds: where samples begin, and N, shape (S + 1,).
        entries: most scores, and numbers of keys, computed at once.
    """
    (_, heads, dim), kv_heads = q_NHD.shape, k_NKD.shape[1]
    first = sample_starts(bounds, guided.positions)
    starts = first * kv_heads + guided.heads // (heads // kv_heads)
    parts = _parts(starts, guided.positions - first + 1, dim, entries)
    with torch.autocast(q_NHD.device.type, enabled=False):
        terms = [_missing(q_NHD, k_NKD, guided.take(part), first[part], starts[part]) for part in parts]
        return torch.stack(terms).sum()


def _parts(starts: np.ndarray, lengths: np.ndarray, dim: int, entries: int) -> list[np.ndarray]:
    """Numbers of the positions, cells of a length together, in as few parts as stay within so many entries each."""
    _, cell, sizes = np.unique(starts, return_inverse=True, return_counts=True)
    longest = np.zeros(len(sizes), dtype=np.int64)
    np.maximum.at(longest, cell, lengths)
    part = np.empty(len(sizes), dtype=np.int64)
    number, count, size = 0, 0, dim
    for place in longest.argsort(kind="stable"):
        count, size = count + 1, max(size, int(sizes[place]))
        if count > 1 and count * size * longest[place] > entries:
            number, count, size = number + 1, 1, max(dim, int(sizes[place]))
        part[place] = number
    return [np.flatnonzero(part[cell] == one) for one in range(number + 1)]


def _missing(
    q_NHD: torch.Tensor, k_NKD: torch.Tensor, guided: Guided, first: np.ndarray, starts: np.ndarray
) -> torch.Tensor:
    """As :func:`missing_attention`, of all positions at once.

    Args:
        q_NHD: queries.
        k_NKD: keys.
        guided: where they should look.
        first: where the sample of each position begins, shape (J,).
        starts: the first key each sees, by token · key/value heads + head, shape (J,): the name of its cell.
    """
    (num_tokens, heads, dim), kv_heads, device = q_NHD.shape, k_NKD.shape[1], q_NHD.device
    cells, cell, sizes = np.unique(starts, return_inverse=True, return_counts=True)
    slot = np.empty(len(starts), dtype=np.int64)
    slot[cell.argsort(kind="stable")] = spans(sizes)
    # What fills a cell up has gradient zero; on one vector all of it would have to be added in turn.
    queries = (np.arange(len(cells) * sizes.max()) % (num_tokens * heads)).reshape(len(cells), -1)
    queries[cell, slot] = guided.positions * heads + guided.heads
    last = guided.positions - first
    counts = np.bincount(guided.rows, minlength=len(guided))
    pairs = (guided.rows, spans(counts))
    targets = np.zeros((len(guided), counts.max()), dtype=np.int64)
    targets[pairs] = guided.keys - first[guided.rows]
    cells_C, queries_CQ, row_J, last_J, targets_JW, counts_J = _sent(
        [cells, queries, cell * queries.shape[1] + slot, last, targets, counts], device
    )
    along_L = torch.arange(int(last.max()) + 1, device=device)
    final_C = cells_C % kv_heads + kv_heads * (num_tokens - 1)
    keys_CL = torch.minimum(cells_C[:, None] + kv_heads * along_L, final_C[:, None])
    q_CQD, k_CLD = _vectors(q_NHD, queries_CQ), _vectors(k_NKD, keys_CL)
    scores_JL = torch.bmm(q_CQD * dim**-0.5, k_CLD.transpose(1, 2)).flatten(0, 1).index_select(0, row_J)
    scores_JL = scores_JL.masked_fill(along_L > last_J[:, None], -torch.inf)
    right_JW = scores_JL.gather(1, targets_JW)
    whole_J = scores_JL.logsumexp(1)
    if guided.shares is None:
        beyond = torch.arange(targets.shape[1], device=device) >= counts_J[:, None]
        return (whole_J - right_JW.masked_fill(beyond, -torch.inf).logsumexp(1)).sum()
    shares = torch.zeros(targets.shape, dtype=scores_JL.dtype)
    shares[pairs] = torch.from_numpy(guided.shares).to(shares)
    [shares_JW] = _sent([shares.numpy()], device)
    known = float((guided.shares * np.log(guided.shares)).sum())
    return known + (shares_JW * (whole_J[:, None] - right_JW)).sum()


def sample_starts(bounds: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Where the sample of each position begins; bounds as of :func:`missing_attention`."""
    starts: np.ndarray = bounds[np.searchsorted(bounds, positions, side="right") - 1]
    return starts


def spans(counts: np.ndarray) -> np.ndarray:
    """0, 1, … up to each count, end to end: (3, 1) → 0 1 2 0."""
    return places_within(np.zeros(len(counts), dtype=np.int64), counts)


def places_within(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Every place of some stretches, end to end: those of (3, 1) from (5, 0) → 5 6 7 0."""
    ends = counts.cumsum()
    places: np.ndarray = np.arange(counts.sum()) + np.repeat(starts - ends + counts, counts)
    return places


def _vectors(x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Vectors of single heads by token · heads + head, float32 at least; (N, heads, D) and (C, X) → (C, X, D)."""
    found = x.reshape(-1, x.shape[2]).index_select(0, index.flatten()).view(*index.shape, -1)
    return found.to(torch.promote_types(found.dtype, torch.float32))


def _sent(arrays: Sequence[np.ndarray], device: torch.device) -> list[torch.Tensor]:
    """Arrays of one type on a device, in one copy that nobody waits for."""
    flat = torch.from_numpy(np.concatenate([array.ravel() for array in arrays]))
    if device.type == "cuda":
        flat = flat.pin_memory().to(device, non_blocking=True)
    parts = torch.split(flat.to(device), [array.size for array in arrays])
    return [part.view(array.shape) for part, array in zip(parts, arrays, strict=True)]
