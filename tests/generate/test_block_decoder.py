"""The decoder by block table, as on CUDA but nothing recorded, says what the engine says on the CPU."""

from __future__ import annotations

import pytest
import torch

from mimovl.generate import Engine
from mimovl.generate.block_decoder import BlockDecoder
from mimovl.types import Request, SamplingParams
from tests import tiny


@pytest.mark.parametrize("page_tokens", [4, 32])
def test_tokens_by_block_table_equal_those_by_page(page_tokens: int) -> None:
    model = tiny.model(sharp=8)
    requests = [
        Request(sample, SamplingParams(temperature=float(n % 2), max_tokens=3 + 5 * n, seed=n), 1 + n % 3)
        for n, sample in enumerate([*tiny.questions("world/counting", 4), *tiny.questions("world/arithmetic", 3)])
    ]
    expected = Engine(model, tiny.processor(), slots=5).generate(requests)
    engine = Engine(model, tiny.processor(), slots=5, page_tokens=page_tokens)
    engine._shared = engine._own
    engine._blocks = BlockDecoder(model, engine._own, engine.slots)
    answers = engine.generate(requests)
    assert [[c.tokens for c in group] for group in answers] == [[c.tokens for c in group] for group in expected]
    for group, other in zip(answers, expected, strict=True):
        for one, two in zip(group, other, strict=True):
            assert torch.allclose(torch.tensor(one.logprobs), torch.tensor(two.logprobs), atol=1e-5)
    assert engine._own.used == 1  # the page that padding writes to


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_recorded_graph_replays_what_the_model_says(dtype: torch.dtype) -> None:
    model = tiny.model(sharp=8).to("cuda", dtype)
    requests = [Request(s, SamplingParams(max_tokens=12), 2) for s in tiny.questions("world/counting", 5)]
    engine = Engine(model, tiny.processor(), slots=6)
    recorded = engine.generate(requests)
    assert engine._blocks and all(step.graph for step in engine._blocks._recorded.values())
    for step in engine._blocks._recorded.values():
        step.graph = None
    plain = engine.generate(requests)
    assert [[c.tokens for c in group] for group in recorded] == [[c.tokens for c in group] for group in plain]
