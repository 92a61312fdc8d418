"""The induction start: heads that look back, and a head that finds where the present token stood before."""

from __future__ import annotations

import torch

from mimovl.model import build_model, preset, start_with_induction


class Recorder:
    """Plain causal attention that keeps every layer's probabilities, shape (heads, N, N)."""

    def __init__(self) -> None:
        self.seen: dict[int, torch.Tensor] = {}

    def __call__(self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        shared = q.shape[1] // k.shape[1]
        k, v = k.repeat_interleave(shared, 1), v.repeat_interleave(shared, 1)
        scores = torch.einsum("nhd,mhd->hnm", q, k) / q.shape[-1] ** 0.5
        future = torch.ones(len(q), len(q), dtype=torch.bool).triu(1)
        self.seen[layer] = scores.masked_fill(future, float("-inf")).softmax(-1)
        return torch.einsum("hnm,mhd->nhd", self.seen[layer], v)


def attention_on_repeated_tokens(*, induction: bool) -> tuple[dict[int, torch.Tensor], int]:
    model = build_model(preset("tiny"), seed=0)
    if induction:
        start_with_induction(model.language, seed=0)
    once = torch.randperm(1000, generator=torch.Generator().manual_seed(1))[:40]
    tokens = torch.cat([once, once])
    recorder = Recorder()
    with torch.no_grad():
        positions = torch.arange(len(tokens)).expand(3, -1)
        model.language(model.language.embed_tokens(tokens), positions, recorder)
    return recorder.seen, len(once)


def test_two_heads_of_the_first_layer_look_one_and_two_tokens_back() -> None:
    seen, _ = attention_on_repeated_tokens(induction=True)
    assert seen[0][0].diagonal(-1).mean() > 0.9
    assert seen[0][1].diagonal(-2).mean() > 0.9


def test_a_head_of_the_second_layer_finds_what_followed_this_token_before() -> None:
    def mass(induction: bool) -> float:
        seen, length = attention_on_repeated_tokens(induction=induction)
        return float(seen[1][0].diagonal(-(length - 1))[1:].mean())

    assert mass(True) > 10 * mass(False) and mass(True) > 0.25


def test_every_parameter_stays_trainable_and_the_rest_is_untouched() -> None:
    plain, started = build_model(preset("tiny"), seed=0), build_model(preset("tiny"), seed=0)
    start_with_induction(started.language, seed=0)
    changed = {
        name
        for (name, before), after in zip(plain.named_parameters(), started.parameters(), strict=True)
        if not torch.equal(before, after)
    }
    assert changed and all(".layers.0.self_attn." in name or ".layers.1.self_attn." in name for name in changed)
    assert all(parameter.requires_grad for parameter in started.parameters())
