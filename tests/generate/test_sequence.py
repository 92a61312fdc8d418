import numpy as np
import torch

from mimovl.generate.sequence import Group, Running, uniforms
from mimovl.types import Request, Sample, SamplingParams


def request(**sampling) -> Request:
    return Request(Sample("s", ()), SamplingParams(**sampling), 4)


def test_draws_are_those_of_seed_and_place_in_the_group() -> None:
    warm = request(temperature=1.0, max_tokens=50, seed=3)
    assert np.array_equal(uniforms(warm, 2), uniforms(warm, 2))
    draws = {
        uniforms(request(temperature=1.0, max_tokens=50, seed=s), n).tobytes() for s in (-1, 0, 3) for n in range(4)
    }
    assert len(draws) == 12
    assert all(0 <= value < 1 for value in uniforms(warm, 0))


def test_draws_do_not_depend_on_torchs_default_type() -> None:
    warm = request(temperature=1.0, max_tokens=50, seed=3)
    expected = uniforms(warm, 2)
    for dtype in (torch.float64, torch.bfloat16):
        torch.set_default_dtype(dtype)
        try:
            assert np.array_equal(uniforms(warm, 2), expected)
        finally:
            torch.set_default_dtype(torch.float32)


def test_a_greedy_sample_needs_no_draws() -> None:
    assert len(uniforms(request(max_tokens=50), 0)) == 0


def test_a_sequence_is_as_long_as_its_shared_and_its_own_tokens() -> None:
    group = Group(1, request(), [4, 7], 64, 1, 3)
    assert Running(group, 0, uniforms(request(), 0), 90, [0], 5).length == 69
