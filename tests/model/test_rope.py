import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mimovl.model.rope import language_rotation, rotate, vision_rotation
from tests.data import small

LANGUAGE = small.config().language
VISION = small.config().vision


def test_three_sections_turn_by_time_height_and_width_in_that_order():
    """Pair i of the head turns by axis(i) · theta^(-2i/D); sections here are 2, 3 and 3 pairs of 8."""
    positions = torch.tensor([[3], [5], [7]])
    cos, sin = language_rotation(positions, LANGUAGE)
    axes = [3, 3, 5, 5, 5, 7, 7, 7]
    angles = [axis * LANGUAGE.rope_theta ** (-pair / 8) for pair, axis in enumerate(axes)]
    expected = torch.tensor(angles * 2)
    assert torch.allclose(cos[0, 0], expected.cos(), atol=1e-6)
    assert torch.allclose(sin[0, 0], expected.sin(), atol=1e-6)


def test_equal_positions_are_ordinary_rotary_positions():
    positions = torch.arange(4).expand(3, -1)
    cos, _ = language_rotation(positions, LANGUAGE)
    inverse = LANGUAGE.rope_theta ** (-torch.arange(8) / 8)
    expected = (torch.arange(4)[:, None] * inverse).cos().repeat(1, 2)
    assert torch.allclose(cos[:, 0], expected, atol=1e-6)


def test_a_patch_turns_by_its_row_and_column():
    """Half of the head's pairs belong to each; frequencies are those of half a head."""
    cos, _ = vision_rotation(torch.tensor([[3, 7]]), VISION)
    inverse = [10_000.0 ** (-2 * pair / 8) for pair in range(4)]
    angles = [3 * frequency for frequency in inverse] + [7 * frequency for frequency in inverse]
    assert torch.allclose(cos[0, 0], torch.tensor([math.cos(angle) for angle in angles * 2]), atol=1e-6)


@given(shift=st.integers(0, 50), first=st.integers(0, 50), second=st.integers(0, 50))
def test_only_distances_matter_to_attention(shift, first, second):
    """A query and a key keep their product when both move by the same amount."""
    q, k = torch.randn(2, 1, 1, LANGUAGE.head_dim, generator=torch.Generator().manual_seed(first)).unbind()

    def product(a, b):
        turned = [rotate(x, language_rotation(torch.full((3, 1), at), LANGUAGE)) for x, at in ((q, a), (k, b))]
        return (turned[0] * turned[1]).sum()

    assert torch.allclose(product(first, second), product(first + shift, second + shift), atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_rotation_keeps_length_and_dtype(dtype):
    x = torch.randn(5, 2, LANGUAGE.head_dim, dtype=torch.float64).to(dtype)
    turned = rotate(x, vision_rotation(torch.arange(10).view(5, 2), VISION))
    assert turned.dtype == dtype
    tolerance = 1e-6 if dtype != torch.bfloat16 else 0.05
    assert torch.allclose(turned.double().norm(dim=-1), x.double().norm(dim=-1), rtol=tolerance)


def test_double_precision_is_not_lost_on_the_way():
    """A float64 model keeps its digits: only the angles themselves are float32."""
    x = torch.randn(3, 1, LANGUAGE.head_dim, dtype=torch.float64)
    cos, sin = vision_rotation(torch.arange(6).view(3, 2), VISION)
    first, second = x.chunk(2, dim=-1)
    expected = x * cos.double() + torch.cat([-second, first], dim=-1) * sin.double()
    assert torch.equal(rotate(x, (cos, sin)), expected)


def test_large_positions_keep_their_precision():
    """Angles are computed in float32 whatever the model: position 120,000 turns the fastest pair exactly that far."""
    cos, _ = language_rotation(torch.full((3, 1), 120_000), LANGUAGE, torch.bfloat16)
    assert cos.dtype == torch.bfloat16
    assert abs(float(cos[0, 0, 0]) - math.cos(120_000.0)) < 0.01
