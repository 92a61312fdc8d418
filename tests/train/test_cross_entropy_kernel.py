"""The Triton kernel gives the losses and the gradient of F.cross_entropy; logits stay as they are if none is wanted."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("triton", reason="Triton is not installed; it comes with torch for CUDA")
from mimovl.train.cross_entropy_kernel import losses_and_gradient

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 5e-3)])
@pytest.mark.parametrize("entries", [7, 4096, 9001])
def test_losses_and_gradient_are_those_of_cross_entropy(entries: int, dtype: torch.dtype, tolerance: float) -> None:
    generator = torch.Generator("cuda").manual_seed(0)
    logits = (4 * torch.randn(13, entries, generator=generator, device="cuda")).to(dtype)
    targets = torch.randint(entries, (13,), generator=generator, device="cuda")
    weights = torch.rand(13, generator=generator, device="cuda")
    weights[3] = 0
    exact = logits.double().requires_grad_()
    expected = F.cross_entropy(exact, targets, reduction="none")
    (expected * weights).sum().backward()
    losses, given = torch.empty(13, device="cuda"), logits.clone()
    losses_and_gradient(given, targets, weights, losses, gradient=False)
    assert torch.equal(given, logits)
    assert (losses - expected).abs().max() < 1e-5
    losses_and_gradient(given, targets, weights, losses, gradient=True)
    assert exact.grad is not None
    assert (given - exact.grad).norm() < tolerance * exact.grad.norm()
    assert not given[3].any()
