"""A pack whose tokens two processes share: attention, loss and every gradient are those of one process."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
import torch.distributed as dist

from mimovl.model import PackedAttention, Segments
from mimovl.team import Team, run_team
from mimovl.train import language_model_loss
from mimovl.train.context_parallel import ContextShare, _deal, rows_of_rank
from mimovl.types import PackedBatch
from tests import tiny

Found = dict[str, torch.Tensor]
LENGTHS = [5, 1, 37, 2, 16]
"""Segments that begin and end within pieces, span several, and fill one."""


def batch_of(lengths: list[int]) -> PackedBatch:
    """A pack of text with such segments."""
    size = sum(lengths)
    return PackedBatch(
        tokens=torch.zeros(size, dtype=torch.long),
        positions=torch.zeros(3, size, dtype=torch.long),
        cu_seqlens=torch.tensor([0, *lengths]).cumsum(0).int(),
        labels=torch.zeros(size, dtype=torch.long),
        loss_weights=torch.ones(size),
        patches=torch.zeros(0, 1176),
        grid_thw=torch.zeros(0, 3, dtype=torch.long),
        visual_index=torch.zeros(0, dtype=torch.long),
    )


def heads() -> list[torch.Tensor]:
    """Queries of four heads, keys and values of two."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(sum(LENGTHS), count, 8, generator=generator, requires_grad=True) for count in (4, 2, 2)]


def plain_flash(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    cu_q: torch.Tensor,
    cu_k: torch.Tensor,
    max_q: int,
    max_k: int,
    causal: bool,
) -> torch.Tensor:
    """What a flash kernel computes: the last query of a segment sees its last key."""
    assert causal and cu_q.dtype == cu_k.dtype == torch.int32
    assert (max_q, max_k) == (int(cu_q.diff().max()), int(cu_k.diff().max()))
    mixed = []
    for (low, high), (first, last) in zip(pairwise(cu_q.tolist()), pairwise(cu_k.tolist()), strict=True):
        queries = q[low:high].float()
        keys, values = (x[first:last].float().repeat_interleave(2, dim=1) for x in (k, v))
        scores = torch.einsum("qhd,khd->hqk", queries, keys) / queries.shape[-1] ** 0.5
        hidden = torch.ones(scores.shape[1:], dtype=torch.bool).triu(last - first - (high - low) + 1)
        mixed.append(torch.einsum("hqk,khd->qhd", scores.masked_fill(hidden, -torch.inf).softmax(-1), values))
    return torch.cat(mixed).to(q.dtype)


def _attention(team: Team) -> list[Found]:
    """This process's rows, what it mixed, and the gradients of what it was given."""
    share = ContextShare(batch_of(LENGTHS), dist.group.WORLD)
    given = heads()
    mixed = share.attention(0, *(x[share.rows] for x in given))
    weight = torch.linspace(-1, 1, sum(LENGTHS))[share.rows, None, None]
    (mixed * weight).sum().backward()
    narrow = [x.detach()[share.rows].bfloat16() for x in given]
    share._flash = plain_flash
    found = {"rows": share.rows, "mixed": mixed.detach(), "flash": share.attention(0, *narrow)}
    return [{**found, **{name: x.grad for name, x in zip(("q", "k", "v"), given, strict=True)}}]


def packs() -> dict[str, PackedBatch]:
    """Pictures for both, for one of the two alone, and none."""
    encoded = {
        source: [tiny.processor().encode(sample) for sample in tiny.samples(source, 3)]
        for source in ("world/counting", "world/clip", "world/arithmetic")
    }
    counting, clip, text = encoded.values()
    return {
        "both": tiny.batch([*counting, clip[0], *text]),
        "one": tiny.batch([text[0], counting[0]]),
        "none": tiny.batch(text),
    }


def gradients(model: torch.nn.Module) -> Found:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def _losses(team: Team) -> dict[str, Found]:
    """Loss and gradients of each pack, added up over the processes."""
    found = {}
    for name, batch in packs().items():
        model = tiny.model()
        model.sees_always = True
        loss = language_model_loss(model, batch, ContextShare(batch, dist.group.WORLD))
        loss.total.backward()
        team.sum_gradients(list(model.parameters()))
        total = sum(team.gather(loss.total.detach()))
        sources = team.gather(loss.by_source)
        assert sum(count for part in sources for _, count in part.values()) == int((batch.labels >= 0).sum())
        found[name] = {**gradients(model), "loss": total}
    return found


def _both(team: Team) -> tuple[list[Found], dict[str, Found]]:
    return team.merge(_attention(team)), _losses(team)


@pytest.fixture(scope="module")
def shared() -> tuple[list[Found], dict[str, Found]]:
    return run_team(2, _both, ())


def test_attention_over_shared_tokens_is_that_over_all_of_them(shared) -> None:
    given = heads()
    bounds = batch_of(LENGTHS).cu_seqlens
    expected = PackedAttention(Segments(bounds), causal=True)(0, *given)
    (expected * torch.linspace(-1, 1, sum(LENGTHS))[:, None, None]).sum().backward()
    parts = shared[0]
    assert sorted(torch.cat([part["rows"] for part in parts]).tolist()) == list(range(sum(LENGTHS)))
    for part in parts:
        torch.testing.assert_close(part["mixed"], expected[part["rows"]].detach(), rtol=1e-5, atol=1e-6)
        # Segments and bounds as a flash kernel is given them; in bfloat16.
        torch.testing.assert_close(part["flash"].float(), expected[part["rows"]].detach(), rtol=2e-2, atol=2e-2)
    for name, x in zip(("q", "k", "v"), given, strict=True):
        # Keys and values get from each process what its queries say; their owner's rows hold the sum already.
        total = sum(part[name] for part in parts)
        torch.testing.assert_close(total, x.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["both", "one", "none"])
def test_loss_and_every_gradient_are_those_of_one_process(name: str, shared) -> None:
    model, found = tiny.model(), shared[1][name]
    loss = language_model_loss(model, packs()[name])
    loss.total.backward()
    assert float(found["loss"]) == pytest.approx(float(loss.total.detach()), rel=1e-6)
    for key, value in gradients(model).items():
        assert (found[key] - value).norm() <= 2e-6 * value.norm() + 1e-9, key
    for key in found.keys() - gradients(model).keys() - {"loss"}:
        assert not found[key].any(), f"{key} learns from a blank picture"


@pytest.mark.parametrize(("size", "processes"), [(8, 2), (61, 2), (100, 3), (3, 2), (32_768, 8)])
def test_every_token_is_somebodys_and_all_have_about_the_same_work(size: int, processes: int) -> None:
    pieces = [rows_of_rank(size, processes, rank) for rank in range(processes)]
    assert sorted(row for both in pieces for piece in both for row in piece) == list(range(size))
    assert all(list(both[0]) + list(both[1]) == sorted([*both[0], *both[1]]) for both in pieces)
    if size > 50 * processes:
        work = [sum(row + 1 for piece in both for row in piece) for both in pieces]
        assert max(work) < 1.05 * min(work)


def test_pictures_are_dealt_out_in_order_by_their_patches() -> None:
    assert _deal([4, 4, 4, 4], 2) == [0, 0, 1, 1]
    assert _deal([100, 4, 4], 2) == [0, 1, 1]
    assert _deal([4], 3) == [1]
    assert _deal([], 2) == []
