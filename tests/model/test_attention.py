import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mimovl.model import PackedAttention, Segments
from mimovl.model.attention import flash_attention

lengths_of_segments = st.lists(st.integers(1, 6), min_size=1, max_size=6)


def cumulative(lengths):
    return torch.tensor([0, *lengths]).cumsum(0)


def random_heads(tokens, heads=4, kv_heads=2, size=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(tokens, count, size, generator=generator) for count in (heads, kv_heads, kv_heads))


def reference(q, k, v, lengths, causal):
    """One dense mask over all pairs of tokens."""
    segment = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    mask = segment[:, None] == segment[None, :]
    if causal:
        mask &= torch.ones_like(mask).tril()
    q, k, v = (x.transpose(0, 1) for x in (q, k, v))
    k, v = (x.repeat_interleave(q.shape[0] // k.shape[0], dim=0) for x in (k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(0, 1)


@settings(max_examples=60)
@given(lengths=lengths_of_segments, causal=st.booleans())
def test_equals_one_dense_block_diagonal_mask(lengths, causal):
    q, k, v = random_heads(sum(lengths))
    out = PackedAttention(Segments(cumulative(lengths)), causal=causal)(0, q, k, v)
    assert torch.allclose(out, reference(q, k, v, lengths, causal), atol=1e-6)


@settings(max_examples=40)
@given(lengths=lengths_of_segments, causal=st.booleans(), data=st.data())
def test_no_segment_sees_another(lengths, causal, data):
    changed = data.draw(st.integers(0, len(lengths) - 1))
    attention = PackedAttention(Segments(cumulative(lengths)), causal=causal)
    heads = random_heads(sum(lengths))
    start = sum(lengths[:changed])
    inside = torch.arange(sum(lengths))
    inside = (inside >= start) & (inside < start + lengths[changed])
    before = attention(0, *heads)
    after = attention(0, *(torch.where(inside[:, None, None], 9 - x, x) for x in heads))
    assert torch.equal(before[~inside], after[~inside])
    assert not torch.equal(before[inside], after[inside])


def test_a_causal_token_does_not_see_later_ones():
    heads = random_heads(5)
    attention = PackedAttention(Segments(cumulative([5])), causal=True)
    late = torch.arange(5) >= 3
    after = attention(0, *(torch.where(late[:, None, None], 9 - x, x) for x in heads))
    assert torch.equal(attention(0, *heads)[:3], after[:3])


@pytest.mark.parametrize("lengths", [[4, 4, 4], [2, 5, 2, 1]])
def test_gradients_equal_those_of_the_dense_mask(lengths):
    ours = [x.requires_grad_() for x in random_heads(sum(lengths))]
    theirs = [x.detach().clone().requires_grad_() for x in ours]
    PackedAttention(Segments(cumulative(lengths)), causal=True)(0, *ours).square().sum().backward()
    reference(*theirs, lengths, True).square().sum().backward()
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.allclose(mine.grad, other.grad, atol=1e-5)


def test_equal_lengths_take_one_call(monkeypatch):
    calls = []
    original = F.scaled_dot_product_attention
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda *a, **k: calls.append(1) or original(*a, **k))
    for lengths, expected in (([3, 3, 3, 3], 1), ([3, 5, 3, 5, 3], 2)):
        calls.clear()
        PackedAttention(Segments(cumulative(lengths)), causal=False)(0, *random_heads(sum(lengths)))
        assert len(calls) == expected


@pytest.mark.parametrize("lengths", [[4, 4, 4], [3, 3, 5, 2, 3, 5, 5, 1, 3]])
def test_nothing_is_gathered_by_index_in_either_direction(lengths):
    """The gradient of a gather is a scatter; that of a cut is a copy."""
    heads = [x.requires_grad_() for x in random_heads(sum(lengths))]
    with torch.profiler.profile(acc_events=True) as profile:
        PackedAttention(Segments(cumulative(lengths)), causal=True)(0, *heads).square().sum().backward()
    called = {event.key for event in profile.key_averages()}
    assert not [name for name in called if "index" in name] and any("scaled_dot_product" in name for name in called)


def test_bounds_at_hand_are_not_read_from_where_they_are_needed():
    lengths = [3, 3, 5, 2]
    there = torch.empty(5, device="meta", dtype=torch.int64)
    known, read = Segments(there, [0, 3, 6, 11, 13]), Segments(cumulative(lengths))
    assert (known.lengths, known.runs, known.groups, known.longest) == (read.lengths, read.runs, read.groups, 5)
    assert known.bounds.is_meta and known.bounds.dtype == torch.int32


def test_nothing_to_attend_to_is_no_error():
    assert PackedAttention(Segments(torch.tensor([0])), causal=False)(0, *random_heads(0)).shape == (0, 4, 8)


def test_a_flash_kernel_is_given_segments_as_they_lie_and_only_what_it_can_compute() -> None:
    """There is none on the CPU; one put in its place sees one call for all segments."""
    attention = PackedAttention(Segments(cumulative([3, 5, 2])), causal=True)
    assert flash_attention(torch.device("cpu")) is None
    seen = []

    def flash(q, k, v, cu_q, cu_k, max_q, max_k, causal):
        seen.append((cu_q.tolist(), cu_k.tolist(), cu_q.dtype, max_q, max_k, causal))
        return q

    attention._flash = flash
    q, k, v = random_heads(10)
    attention(0, q, k, v)
    assert not seen  # float32
    attention(0, q.bfloat16(), k.bfloat16(), v.bfloat16())
    assert seen == [([0, 3, 8, 10], [0, 3, 8, 10], torch.int32, 5, 5, True)]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_a_flash_kernel_gives_the_same_result_and_gradients(kv_heads: int, causal: bool) -> None:
    """Also where key/value heads are fewer than query heads, and where a head is no power of two."""
    lengths = [1, 17, 64, 300, 5]
    exact = [x.double().requires_grad_() for x in random_heads(sum(lengths), 4, kv_heads, 80)]
    narrow = [x.detach().to("cuda", torch.bfloat16).requires_grad_() for x in exact]
    weight = torch.randn(sum(lengths), 4, 80, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = reference(*exact, lengths, causal)
    out = PackedAttention(Segments(cumulative(lengths).to("cuda")), causal=causal)(0, *narrow)
    found = [out.detach(), *torch.autograd.grad(out, narrow, weight.to(out))]
    for one, other in zip(found, [expected, *torch.autograd.grad(expected, exact, weight)], strict=True):
        assert (one.cpu().double() - other).norm() < 2e-2 * other.norm()
