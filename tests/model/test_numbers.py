"""The number start: near numbers lie near, in the embedding and in the output head, and nothing else is touched."""

from __future__ import annotations

import torch

from mimovl.model import build_model, number_code, preset, start_with_numbers

NUMBERS = {100 + n: float(n) for n in range(170)}
"""Token id to value."""


def test_codes_have_length_one_and_every_number_is_nearest_to_itself() -> None:
    codes = number_code(torch.arange(512))
    assert torch.allclose(codes.norm(dim=1), torch.ones(512), atol=1e-6)
    likeness = codes @ codes.T
    assert torch.equal(likeness.argmax(1), torch.arange(512))


def test_likeness_falls_with_distance() -> None:
    likeness = number_code(torch.tensor(80)) @ number_code(torch.tensor([81, 84, 90, 110])).T
    assert likeness[0] > likeness[1] > likeness[2] > likeness[3]


def test_embedding_and_head_start_in_order_and_other_tokens_are_untouched() -> None:
    plain, started = build_model(preset("tiny"), seed=0).language, build_model(preset("tiny"), seed=0).language
    start_with_numbers(started, NUMBERS, seed=1)
    ids = torch.tensor(list(NUMBERS))
    others = torch.ones(len(plain.embed_tokens.weight), dtype=torch.bool).index_fill_(0, ids, False)
    for before, after in ((plain.embed_tokens, started.embed_tokens), (plain.lm_head, started.lm_head)):
        assert torch.equal(before.weight[others], after.weight[others])
        one, near, far = (after.weight[100 + n] for n in (60, 61, 130))
        assert torch.cosine_similarity(one, near, dim=0) > torch.cosine_similarity(one, far, dim=0) + 0.3
    # Reading a number and saying it is one step: the head already prefers the token that was read.
    scores = started.lm_head.weight[ids] @ started.embed_tokens.weight[ids].T
    assert float((scores.argmax(0) == torch.arange(len(ids))).float().mean()) > 0.8
    changed = [
        n for (n, p), q in zip(plain.named_parameters(), started.parameters(), strict=True) if not torch.equal(p, q)
    ]
    assert sorted(changed) == ["embed_tokens.weight", "lm_head.weight"]


def test_a_model_without_numbers_or_room_is_left_alone() -> None:
    plain, started = build_model(preset("tiny"), seed=0).language, build_model(preset("tiny"), seed=0).language
    start_with_numbers(started, {}, seed=1)
    assert all(torch.equal(p, q) for p, q in zip(plain.parameters(), started.parameters(), strict=True))
