"""The term of many positions at once is that of each on its own, whatever share keys, lengths and precision."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mimovl.pipeline.guided_attention import Guided, joined, missing_attention, places_within, spans

LENGTHS = (7, 1, 40, 23, 2, 11)
BOUNDS = np.cumsum([0, *LENGTHS])
HEADS, KV_HEADS, DIM = 6, 3, 8


def tensors(dtype: torch.dtype, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(int(BOUNDS[-1]), heads, DIM) for heads in (HEADS, KV_HEADS)]
    q, k = (torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes)
    return q.requires_grad_(), k.requires_grad_()


def drawn(count: int, *, shared: bool, seed: int = 0) -> Guided:
    """Positions anywhere but in two of the samples, each with one to five tokens to look at."""
    rng = np.random.default_rng(seed)
    heads, positions, rows, keys, shares = [], [], [], [], []
    for row in range(count):
        sample = rng.choice([0, 2, 3, 5])
        position = rng.integers(BOUNDS[sample], BOUNDS[sample + 1])
        seen = np.arange(BOUNDS[sample], position + 1)
        right = rng.choice(seen, size=min(len(seen), rng.integers(1, 6)), replace=False)
        part = rng.random(len(right))
        heads.append(rng.integers(HEADS))
        positions.append(position)
        rows += [row] * len(right)
        keys += right.tolist()
        shares += (part / part.sum()).tolist()
    return Guided(*map(np.array, (heads, positions, rows, keys)), np.array(shares) if shared else None)


def plainly(q: torch.Tensor, k: torch.Tensor, guided: Guided) -> torch.Tensor:
    """Position by position."""
    terms = []
    for row, (head, position) in enumerate(zip(guided.heads, guided.positions, strict=True)):
        pairs = guided.rows == row
        first = int(max(bound for bound in BOUNDS if bound <= position))
        scores = k[first : position + 1, head * KV_HEADS // HEADS] @ q[position, head] / DIM**0.5
        logs = scores.log_softmax(0)[guided.keys[pairs] - first]
        if guided.shares is None:
            terms.append(-logs.logsumexp(0))
        else:
            share = torch.from_numpy(guided.shares[pairs])
            terms.append((share * (share.log() - logs)).sum())
    return torch.stack(terms).sum()


@pytest.mark.parametrize("entries", [2**26, 2000, 1])
@pytest.mark.parametrize("shared", [False, True])
def test_term_and_gradients_are_those_of_each_position_alone(shared: bool, entries: int) -> None:
    guided = drawn(60, shared=shared)
    together, alone = tensors(torch.float64), tensors(torch.float64)
    loss, expected = missing_attention(*together, guided, BOUNDS, entries=entries), plainly(*alone, guided)
    loss.backward()
    expected.backward()
    for found, known in (
        (loss, expected),
        *((one.grad, other.grad) for one, other in zip(together, alone, strict=True)),
    ):
        torch.testing.assert_close(found, known, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shared", [False, True])
def test_a_single_position_may_be_guided(shared: bool) -> None:
    guided = drawn(1, shared=shared)
    q, k = tensors(torch.float64)
    torch.testing.assert_close(missing_attention(q, k, guided, BOUNDS), plainly(q, k, guided), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shared", [False, True])
def test_in_half_precision_the_softmax_is_float32(shared: bool) -> None:
    """Even where matrices are multiplied in half precision around it: exactly what float32 says of those numbers."""
    guided = drawn(60, shared=shared)
    q, k = tensors(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        loss = missing_attention(q, k, guided, BOUNDS)
    loss.backward()
    assert loss.dtype == torch.float32
    wide_q, wide_k = (x.detach().float().requires_grad_() for x in (q, k))
    expected = missing_attention(wide_q, wide_k, guided, BOUNDS)
    expected.backward()
    assert loss.item() == expected.item()
    for narrow, wide in ((q, wide_q), (k, wide_k)):
        assert narrow.grad is not None and wide.grad is not None
        torch.testing.assert_close(narrow.grad.float(), wide.grad, rtol=2**-6, atol=1e-3)


class Counting(TorchDispatchMode):
    """Counts operations."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen[str(func)] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("shared", [False, True])
def test_more_positions_take_no_more_operations(shared: bool) -> None:
    counts = []
    for positions in (3, 500):
        q, k = tensors(torch.float32)
        with Counting() as counting:
            missing_attention(q, k, drawn(positions, shared=shared), BOUNDS).backward()
        counts.append(counting.seen)
    assert counts[0] == counts[1]


def test_parts_stay_within_the_entries_they_may_have() -> None:
    """Shapes of the scores: cells, positions and keys, padding included."""
    guided, sizes = drawn(300, shared=False), []

    class Products(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = func(*args, **(kwargs or {}))
            sizes.extend([out.numel()] if func is torch.ops.aten.bmm.default else [])
            return out

    q, k = tensors(torch.float32)
    with Products():
        missing_attention(q, k, guided, BOUNDS, entries=5000)
    assert 1 < len(sizes) < 12 and max(sizes) <= 5000


def test_joined_positions_keep_their_tokens() -> None:
    one, other = drawn(5, shared=True), drawn(9, shared=True, seed=1)
    both = joined([one, other])
    q, k = tensors(torch.float64)
    apart = missing_attention(q, k, one, BOUNDS) + missing_attention(q, k, other, BOUNDS)
    torch.testing.assert_close(missing_attention(q, k, both, BOUNDS), apart)
    assert len(both) == 14 and both.take(np.arange(5, 14)).keys.tolist() == other.keys.tolist()


def test_places_are_counted_stretch_by_stretch() -> None:
    assert spans(np.array([3, 0, 1])).tolist() == [0, 1, 2, 0]
    assert places_within(np.array([5, 9, 0]), np.array([3, 0, 1])).tolist() == [5, 6, 7, 0]
    assert spans(np.zeros(0, dtype=np.int64)).tolist() == []
