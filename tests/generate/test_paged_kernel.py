"""The Triton kernel mixes what gathered pages give, at every length, and whatever else is in the batch."""

from __future__ import annotations

import pytest
import torch

from mimovl.generate.paged_attention import _gathered

pytest.importorskip("triton", reason="Triton is not installed; it comes with torch for CUDA")
from mimovl.generate.paged_kernel import SPAN, paged_attention

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def problem(
    rows: int, heads: int, kv_heads: int, size: int, page: int, width: int, dtype: torch.dtype
) -> list[torch.Tensor]:
    """Queries, keys, values, table, lengths: one sequence of one token, one that fills its pages."""
    generator = torch.Generator("cuda").manual_seed(0)
    pages = rows * width + 3
    q, keys, values = (
        torch.randn(shape, generator=generator, device="cuda").to(dtype)
        for shape in ((rows, heads, size), *[(pages, page, kv_heads, size)] * 2)
    )
    table = torch.randperm(pages, generator=generator, device="cuda")[: rows * width].view(rows, width).int()
    lengths = torch.randint(1, width * page + 1, (rows,), generator=generator, device="cuda").int()
    lengths[0], lengths[-1] = 1, width * page
    return [q, keys, values, table, lengths]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 3e-6), (torch.bfloat16, 1e-2), (torch.float16, 2e-3)])
@pytest.mark.parametrize(
    "shape", [(5, 8, 2, 16, 4, 7), (3, 4, 4, 24, 64, 20), (16, 32, 8, 128, 256, 6), (7, 10, 2, 64, 32, 40)]
)
def test_it_gives_what_gathered_pages_give(shape: tuple[int, ...], dtype: torch.dtype, tolerance: float) -> None:
    parts = problem(*shape, dtype)  # type: ignore[arg-type]
    exact = _gathered(*(part.double() if part.is_floating_point() else part for part in parts))
    assert (paged_attention(*parts).double() - exact).abs().max() < tolerance


def test_a_sequence_is_the_same_to_the_bit_in_any_company() -> None:
    q, keys, values, table, lengths = problem(9, 32, 8, 128, 64, 33, torch.bfloat16)
    assert int(lengths.max()) > 2 * SPAN
    whole = paged_attention(q, keys, values, table, lengths)
    for row in range(9):
        one = slice(row, row + 1)
        narrow = table[one, : -(-int(lengths[row]) // 64)]
        assert torch.equal(paged_attention(q[one], keys, values, narrow, lengths[one]), whole[one])
