"""Answers see their own prompt and themselves; result and gradients equal attention segment by segment."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mimovl.model import PackedAttention, Segments
from mimovl.rl.shared_prefix import Family, SharedPrefixAttention

CPU = torch.device("cpu")
HEADS, SIZE = 4, 8
FAMILIES = [
    Family(40, (3, 17, 0, 33)),
    Family(7, (5,)),
    Family(5, (0, 0)),
    Family(1, (2,)),
    Family(130, (64, 64, 1, 90)),
]


def inputs(families: list[Family], kv_heads: int = 2, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    """Queries, keys, values."""
    count = sum(family.prompt + sum(family.answers) for family in families)
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(count, heads, SIZE, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
        for heads in (HEADS, kv_heads, kv_heads)
    ]


def result(families: list[Family], parts: list[torch.Tensor], *, by_segment: bool) -> list[torch.Tensor]:
    """Output and gradients."""
    out = SharedPrefixAttention(families, CPU, by_segment=by_segment)(0, *parts)
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(out.dtype)
    return [out.detach(), *torch.autograd.grad(out, parts, weight)]


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_result_and_gradients_equal_those_by_segment(kv_heads: int) -> None:
    """In float64, so that what differs is not rounding; 3e-15 measured."""
    parts = inputs(FAMILIES, kv_heads, torch.float64)
    for one, other in zip(
        result(FAMILIES, parts, by_segment=False), result(FAMILIES, parts, by_segment=True), strict=True
    ):
        assert (one - other).abs().max() < 1e-12


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-1)])
def test_in_the_precision_of_training_they_differ_by_rounding(dtype: torch.dtype, tolerance: float) -> None:
    """Measured 2e-6; in bfloat16 4e-2 of gradients up to 12."""
    exact = result(FAMILIES, inputs(FAMILIES, 2, torch.float64), by_segment=True)
    for one, other in zip(result(FAMILIES, inputs(FAMILIES, 2, dtype), by_segment=False), exact, strict=True):
        assert (one - other).abs().max() < tolerance


@settings(max_examples=25)
@given(
    st.lists(
        st.builds(Family, st.integers(1, 40), st.lists(st.integers(0, 70), min_size=1, max_size=5).map(tuple)),
        min_size=1,
        max_size=4,
    )
)
def test_whatever_the_lengths(families: list[Family]) -> None:
    parts = inputs(families, 2, torch.float64)
    for one, other in zip(
        result(families, parts, by_segment=False), result(families, parts, by_segment=True), strict=True
    ):
        assert (one - other).abs().max() < 1e-12


@pytest.mark.parametrize("by_segment", [False, True])
def test_an_answer_attends_as_if_it_stood_alone_behind_its_prompt(by_segment: bool) -> None:
    """Against packed causal attention over prompt and answer, as in any other training."""
    q, k, v = (part.detach() for part in inputs(FAMILIES, 2, torch.float64))
    mixed = SharedPrefixAttention(FAMILIES, CPU, by_segment=by_segment)(0, q, k, v)
    start = 0
    for family in FAMILIES:
        prompt = torch.arange(start, start + family.prompt)
        start += family.prompt
        for length in family.answers:
            rows = torch.cat([prompt, torch.arange(start, start + length)])
            alone = PackedAttention(Segments(torch.tensor([0, len(rows)])), causal=True)(0, q[rows], k[rows], v[rows])
            assert torch.allclose(mixed[rows], alone, atol=1e-12)
            start += length


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_one_call_of_the_flash_kernel_gives_the_same(kv_heads: int) -> None:
    exact = result(FAMILIES, inputs(FAMILIES, kv_heads, torch.float64), by_segment=True)
    parts = [part.detach().to("cuda", torch.bfloat16).requires_grad_() for part in inputs(FAMILIES, kv_heads)]
    out = SharedPrefixAttention(FAMILIES, torch.device("cuda"))(0, *parts)
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(out)
    found = [out.detach(), *torch.autograd.grad(out, parts, weight)]
    for one, other in zip(found, exact, strict=True):
        assert (one.cpu().double() - other).norm() < 2e-2 * other.norm()
