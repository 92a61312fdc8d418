"""Whether this machine's matrix products compute a row the same way whatever the number of rows beside it."""

from __future__ import annotations

import functools

import pytest
import torch

from mimovl.generate.paged_attention import MIN_ROWS


@functools.cache
def independent() -> bool:
    """True of the kernels torch 2.13 brings for x86 with AVX-512; elsewhere tokens are equal, roundings may differ."""
    generator = torch.Generator().manual_seed(0)
    for inputs, outputs in ((64, 64), (64, 32), (96, 64), (64, 420), (32, 96)):
        x, weight = torch.randn(200, inputs, generator=generator), torch.randn(outputs, inputs, generator=generator)
        whole = torch.nn.functional.linear(x, weight)
        for rows in (MIN_ROWS, 5, 7, 16, 33, 100):
            if not torch.equal(torch.nn.functional.linear(x[:rows], weight), whole[:rows]):
                return False
    return True


def needed() -> None:
    """Skip the test where it cannot hold."""
    if not independent():
        pytest.skip("this machine's matrix products depend on the number of rows, so only tokens are the same")
