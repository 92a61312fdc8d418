"""Attention over pages equals attention over the whole sequence, and depends on nothing but the sequence."""

import random

import numpy as np
import pytest
import torch

from mimovl.generate.page_pool import PagePool
from mimovl.generate.paged_attention import (
    MIN_ROWS,
    PageAttention,
    RecordingAttention,
    TableAttention,
    _alike,
    _readers,
)
from mimovl.generate.sequence import Group, Running, uniforms
from mimovl.model import PackedAttention, Segments
from mimovl.types import Request, Sample
from tests import tiny
from tests.generate import rows as products

LANGUAGE = tiny.config().language
HEADS, KV_HEADS, SIZE = LANGUAGE.num_heads, LANGUAGE.num_kv_heads, LANGUAGE.head_dim
GROUP = HEADS // KV_HEADS
PAGE = 4
REQUEST = Request(Sample("s", ()))


def pool(dtype: torch.dtype = torch.float32) -> PagePool:
    return PagePool(LANGUAGE, PAGE, dtype=dtype, device=torch.device("cpu"))


def random_tokens(count: int, seed: int, heads: int = KV_HEADS) -> torch.Tensor:
    return torch.randn(LANGUAGE.num_layers, count, heads, SIZE, generator=torch.Generator().manual_seed(seed))


class Story:
    """Groups of sequences with their whole keys and values beside the pages they lie in."""

    def __init__(self, shared: PagePool, own: PagePool) -> None:
        self.shared, self.own = shared, own
        self.running: list[Running] = []
        self.keys: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []

    def add(self, prompt: int, written: list[int], seed: int) -> None:
        """A group: its prompt, and what each sample has written so far."""
        keys, values = random_tokens(prompt, seed), random_tokens(prompt, seed + 1)
        full = prompt // PAGE
        pages = self.shared.take(full)
        self.shared.write(pages, keys[:, : full * PAGE], values[:, : full * PAGE])
        group = Group(seed, REQUEST, pages, full * PAGE, len(written), 0)
        for sample, count in enumerate(written):
            more = [random_tokens(count, seed + 10 * sample + place) for place in (2, 3)]
            whole = [torch.cat(pair, dim=1) for pair in zip((keys, values), more, strict=True)]
            length = prompt - full * PAGE + count
            own = self.own.take(length // PAGE + 1)  # room for one more
            self.own.write(own[: -(-length // PAGE)], *(part[:, full * PAGE :] for part in whole))
            self.running.append(Running(group, sample, uniforms(REQUEST, 0), 0, own, length))
            self.keys.append(whole[0])
            self.values.append(whole[1])

    def expected(self, layer: int, row: int, q, k, v) -> torch.Tensor:
        """By packed causal attention over everything, as in training."""
        count = self.keys[row].shape[1]
        all_k, all_v = torch.cat([self.keys[row][layer], k[None]]), torch.cat([self.values[row][layer], v[None]])
        all_q = torch.cat([torch.zeros(count, HEADS, SIZE), q[None]])
        return PackedAttention(Segments(torch.tensor([0, count + 1])), causal=True)(layer, all_q, all_k, all_v)[-1]


def one_token(rows: int, seed: int = 9) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, keys and values of one token each; a row's are its own whatever the number of rows."""
    parts = []
    for heads in (HEADS, KV_HEADS, KV_HEADS):
        drawn = [
            torch.randn(heads, SIZE, generator=torch.Generator().manual_seed(100 * seed + 10 * row + heads))
            for row in range(rows)
        ]
        parts.append(torch.stack(drawn))
    return parts[0], parts[1], parts[2]


def crowd(seed: int = 0) -> Story:
    """Prompts shorter than a page, of whole pages, longer; groups of one, some, many; holes in the pools."""
    story = Story(pool(), pool())
    holes = story.own.take(3), story.shared.take(2)
    for number, (prompt, written) in enumerate([(3, [0, 5]), (8, [0, 1, 7, 16]), (13, [2]), (21, [4, 4, 30])]):
        story.add(prompt, written, seed + 1000 * number)
    story.own.release(holes[0])
    story.shared.release(holes[1])
    return story


@pytest.mark.parametrize("layer", [0, 1])
def test_one_more_token_attends_as_in_the_whole_sequence(layer: int) -> None:
    story = crowd()
    rows = len(story.running)
    q, k, v = one_token(rows)
    mixed = PageAttention(story.shared, story.own, story.running, rows, GROUP)(layer, q, k, v)
    for row in range(rows):
        assert torch.allclose(mixed[row], story.expected(layer, row, q[row], k[row], v[row]), atol=2e-6), row


def test_the_new_token_lies_behind_the_others() -> None:
    story = crowd()
    rows = len(story.running)
    q, k, v = one_token(rows)
    PageAttention(story.shared, story.own, story.running, rows, GROUP)(1, q, k, v)
    for row, sequence in enumerate(story.running):
        place = sequence.own_length
        page, offset = sequence.own[place // PAGE], place % PAGE
        assert torch.equal(story.own.keys[1, page, offset], k[row])
        assert torch.equal(story.own.values[1, page, offset], v[row])


def test_the_result_is_the_same_to_the_bit_in_any_company() -> None:
    """Other groups come and go, siblings end, pages lie elsewhere."""
    products.needed()
    whole = crowd()
    rows = len(whole.running)
    q, k, v = one_token(rows)
    expected = PageAttention(whole.shared, whole.own, whole.running, rows, GROUP)(0, q, k, v)
    rng = random.Random(0)
    for _ in range(8):
        story = crowd()
        chosen = sorted(rng.sample(range(rows), rng.randint(1, rows)))
        rng.shuffle(chosen)
        running = [story.running[row] for row in chosen]
        padded = max(len(chosen), MIN_ROWS)
        fill = torch.zeros(padded - len(chosen), HEADS, SIZE)
        parts = [torch.cat([x[chosen], fill[:, : x.shape[1]]]) for x in (q, k, v)]
        mixed = PageAttention(story.shared, story.own, running, padded, GROUP)(0, *parts)
        assert torch.equal(mixed[: len(chosen)], expected[chosen])
        assert mixed.isfinite().all()


def test_what_lies_behind_the_end_of_a_sequence_is_not_seen() -> None:
    clean, used = crowd(), Story(pool(), pool())
    for made in (used.shared, used.own):
        pages = made.take(60)
        made.write(pages, random_tokens(240, 5), random_tokens(240, 6))
        made.release(pages)
    holes = used.own.take(3), used.shared.take(2)
    for number, (prompt, written) in enumerate([(3, [0, 5]), (8, [0, 1, 7, 16]), (13, [2]), (21, [4, 4, 30])]):
        used.add(prompt, written, 1000 * number)
    used.own.release(holes[0])
    used.shared.release(holes[1])
    q, k, v = one_token(len(clean.running))
    first, second = (
        PageAttention(story.shared, story.own, story.running, len(story.running), GROUP)(0, q, k, v)
        for story in (clean, used)
    )
    assert torch.equal(first, second)


@pytest.mark.parametrize("layer", [0, 1])
def test_a_block_table_gives_the_same(layer: int) -> None:
    """One pool for prompts and samples, as on CUDA."""
    one = pool()
    story = Story(one, one)
    for number, (prompt, written) in enumerate([(3, [0, 5]), (8, [0, 1]), (21, [4, 30])]):
        story.add(prompt, written, 1000 * number)
    pages = [[*sequence.group.pages, *sequence.own] for sequence in story.running]
    width = max(map(len, pages))
    table = torch.tensor([row + [0] * (width - len(row)) for row in pages], dtype=torch.int32)
    lengths = torch.tensor([sequence.length for sequence in story.running], dtype=torch.int32)
    q, k, v = one_token(len(pages))
    mixed = TableAttention(one, table, lengths)(layer, q, k, v)
    for row in range(len(pages)):
        assert torch.allclose(mixed[row], story.expected(layer, row, q[row], k[row], v[row]), atol=2e-6), row


def test_what_no_sequence_sees_may_be_no_number_in_a_block_table() -> None:
    """The page where padding writes keeps what older parameters gave, and fills up the table of short sequences."""
    one = pool()
    [spare] = one.take(1)
    story = Story(one, one)
    story.add(8, [0], 1000)
    table = torch.tensor([[*story.running[0].group.pages, *story.running[0].own, spare]], dtype=torch.int32)
    lengths = torch.tensor([8], dtype=torch.int32)
    q, k, v = one_token(1)
    expected = TableAttention(one, table, lengths)(0, q, k, v)
    for stored in (one.keys, one.values):
        stored[:, spare] = float("nan")
    assert torch.equal(TableAttention(one, table, lengths)(0, q, k, v), expected) and expected.isfinite().all()


def test_the_prefill_keeps_keys_and_values_and_changes_nothing() -> None:
    inner = PackedAttention(Segments(torch.tensor([0, 4, 9])), causal=True)
    recording = RecordingAttention(inner)
    q, k, v = torch.randn(9, HEADS, SIZE), torch.randn(9, KV_HEADS, SIZE), torch.randn(9, KV_HEADS, SIZE)
    for layer in range(2):
        assert torch.equal(recording(layer, q, k + layer, v), inner(layer, q, k + layer, v))
    assert [torch.equal(kept, k + layer) for layer, kept in enumerate(recording.keys)] == [True, True]
    assert all(torch.equal(kept, v) for kept in recording.values)


def test_rows_are_put_together_with_their_like_where_padding_would_cost_more() -> None:
    assert [most for _, most in _alike(np.array([3, 4, 4, 2]))] == [4]
    together = _alike(np.array([3] * 20 + [200] + [4] * 20))
    assert [(len(rows), most) for rows, most in together] == [(40, 4), (1, 200)]
    assert sorted(np.concatenate([rows for rows, _ in together]).tolist()) == list(range(41))


def test_pages_of_large_groups_are_read_apart_where_small_ones_would_be_computed_as_often() -> None:
    alike = [(np.array([0, 2]), [0, 1, 2]), (np.array([1]), [3, 4])]
    [(chosen, count, sharers, groups)] = _readers(alike, 3, 2)
    assert chosen is None and (count, sharers, groups) == (3, 4, alike)
    mixed = [(np.array([5]), list(range(64))), *[(np.array([9 * n + 7, 9 * n + 8]), [64 + n]) for n in range(30)]]
    large, small = sorted(_readers(mixed, 280, 2), key=lambda read: -read[2])
    assert large[0].tolist() == [5] and large[1:3] == (1, 64)
    assert small[1:3] == (60, 2) and small[0].tolist() == sorted(small[0].tolist())
    assert _readers([], 0, 2) == []
