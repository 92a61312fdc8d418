import pytest
import torch
import torch.nn.functional as F

from mimovl.model.layers import RMSNorm, SwiGLU


def normalised(x, weight, eps):
    wide = x.double()
    return (wide / (wide.pow(2).mean(-1, keepdim=True) + eps).sqrt()) * weight.double()


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6), (torch.bfloat16, 0.05)]
)
def test_rms_norm_is_its_formula_in_every_precision(dtype, tolerance):
    norm = RMSNorm(24, 1e-5)
    torch.nn.init.normal_(norm.weight)
    norm = norm.to(dtype)
    x = (7 * torch.randn(5, 24, dtype=torch.float64)).to(dtype)
    out = norm(x)
    assert out.dtype == dtype
    assert (out.double() - normalised(x, norm.weight, 1e-5)).abs().max() < tolerance


def test_rms_norm_of_large_half_precision_values_does_not_overflow():
    """Squares of 300 exceed float16; the statistics are taken in float32."""
    norm = RMSNorm(8, 1e-6).half()
    assert torch.allclose(norm(torch.full((1, 8), 300.0).half()).float(), torch.ones(1, 8), atol=1e-3)


def test_rms_norm_of_zeros_is_zero():
    assert torch.equal(RMSNorm(8, 1e-6)(torch.zeros(2, 8)), torch.zeros(2, 8))


@pytest.mark.parametrize("bias", [False, True])
def test_swiglu_is_its_formula(bias):
    layer = SwiGLU(6, 10, bias=bias)
    x = torch.randn(3, 6)
    gate, up = layer.gate_proj(x), layer.up_proj(x)
    assert torch.allclose(layer(x), layer.down_proj(gate * torch.sigmoid(gate) * up), atol=1e-6)
    assert (layer.gate_proj.bias is not None) == bias


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("frozen", [(), ("down_proj",), ("gate_proj", "up_proj", "down_proj")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_feed_forward_and_its_gradients_are_those_written_out_to_the_bit(
    bias: bool, frozen: tuple[str, ...], dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    block = SwiGLU(64, 192, bias=bias).to(dtype)
    for name in frozen:
        getattr(block, name).requires_grad_(False)
    x = torch.randn(333, 64, dtype=dtype, requires_grad=True)
    wanted = [x, *(parameter for parameter in block.parameters() if parameter.requires_grad)]
    out = block(x)
    weight = torch.randn_like(out)
    plain = block.down_proj(F.silu(block.gate_proj(x)) * block.up_proj(x))
    assert torch.equal(out, plain)
    grads, others = (torch.autograd.grad(result, wanted, weight) for result in (out, plain))
    assert all(torch.equal(one, other) for one, other in zip(grads, others, strict=True))


def test_the_feed_forward_keeps_two_tensors_of_its_width() -> None:
    block, kept = SwiGLU(64, 192, bias=False), []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.shape) or x, lambda x: x):
        block(torch.randn(333, 64))
    assert kept.count(torch.Size([333, 192])) == 2
