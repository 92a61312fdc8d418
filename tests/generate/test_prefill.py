"""Prompts in one pack are what they are alone; pictures are kept as long as somebody waits for them, and no longer."""

from __future__ import annotations

import pytest
import torch

from mimovl.errors import DataError
from mimovl.generate.prefill import Prefill, encode_request
from mimovl.types import Request, Sample, SamplingParams
from tests import tiny
from tests.data import small


def ask(name: str, *media, max_tokens: int = 4) -> Request:
    sample = Sample(name, (small.user(f"How many {name}?", *media),), {item.sha256: item for item in media})
    return Request(sample, SamplingParams(max_tokens=max_tokens))


def computed(requests: list[Request], prefill: Prefill | None = None):
    prefill = prefill or Prefill(tiny.model())
    prompts = [encode_request(request, tiny.processor()) for request in requests]
    with torch.no_grad():
        return prefill.run(requests, prompts), [prompt.num_tokens for prompt in prompts]


def test_a_prompt_in_a_pack_is_what_it_is_alone() -> None:
    requests = [ask("a", small.picture(56, 84)), ask("b"), ask("c", small.clip(4, 2.0), small.picture(28, 28))]
    (ends, keys, values), sizes = computed(requests)
    start = 0
    for number, (request, size) in enumerate(zip(requests, sizes, strict=True)):
        (end, key, value), _ = computed([request])
        assert torch.allclose(ends[number], end[0], atol=1e-5)
        for packed, alone in ((keys, key), (values, value)):
            assert torch.allclose(packed[:, start : start + size], alone, atol=1e-5)
        start += size
    assert start == keys.shape[1] == values.shape[1]


def test_visual_tokens_are_kept_while_somebody_waits_for_them() -> None:
    picture = small.picture(56, 56)
    first, second = ask("first", picture), ask("second", picture)
    prefill = Prefill(tiny.model())
    for request in (first, second):
        prefill.expect(request)
    computed([first], prefill)
    prefill.forget(first)
    assert len(prefill._visual) == 1
    prefill.forget(second)
    assert not prefill._visual and not prefill._wanted


def test_a_prompt_beyond_the_context_is_named_with_its_numbers() -> None:
    with pytest.raises(DataError, match=r"sample long: \d+ prompt tokens and 2040 new ones exceed .* 2048 positions"):
        encode_request(ask("long", max_tokens=2040), tiny.processor())
