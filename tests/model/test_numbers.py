"""The number start: near numbers lie near, in the embedding and in the output head, and nothing else is touched."""

from __future__ import annotations

import torch

from mimovl.model import (
    build_model,
    number_code,
    number_directions,
    preset,
    start_with_number_readers,
    start_with_numbers,
)
from mimovl.model.decoder import SelfAttention

NUMBERS = {100 + n: float(n) for n in range(170)}
"""Token id to value."""


def test_codes_have_length_one_and_every_number_is_nearest_to_itself() -> None:
    codes = number_code(torch.arange(512))
    assert torch.allclose(codes.norm(dim=1), torch.ones(512), atol=1e-6)
    likeness = codes @ codes.T
    assert torch.equal(likeness.argmax(1), torch.arange(512))


def test_neighbours_are_most_alike_and_what_is_far_is_not() -> None:
    likeness = number_code(torch.tensor(80)) @ number_code(torch.arange(170)).T
    assert set(likeness.topk(3).indices.tolist()) == {79, 80, 81}
    distance = (torch.arange(170) - 80).abs()
    assert likeness[distance <= 4].min() > 0.5 > likeness[distance > 4].mean() + 0.3


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


def test_a_reader_writes_the_number_it_looks_at_as_a_token_would_be() -> None:
    """One visual token holds four numbers; a head that looks at it alone says its own one."""
    decoder = build_model(preset("tiny"), seed=0).language
    start_with_number_readers(decoder, 4, layer=3, seed=1)
    directions = number_directions(decoder.config.hidden_size, seed=1)
    numbers = torch.tensor([12, 47, 101, 150])
    held = torch.cat([number_code(numbers).flatten(), torch.zeros(48)]) @ torch.cat(
        [directions[16:80], directions[80:]]
    )
    attention = decoder.layers[3].self_attn
    assert isinstance(attention, SelfAttention)
    values = attention.v_proj(held).unflatten(-1, (2, 32))
    all_codes = number_code(torch.arange(170)) @ directions[:16]
    for head, number in enumerate(numbers.tolist()):
        alone = torch.zeros(4, 32)
        alone[head] = values[head // 2]
        assert int((attention.o_proj(alone.flatten()) @ all_codes.T).argmax()) == number


def test_readers_change_values_and_outputs_of_one_layer_alone() -> None:
    plain, started = build_model(preset("tiny"), seed=0).language, build_model(preset("tiny"), seed=0).language
    start_with_number_readers(started, 4, layer=3, seed=1)
    pairs = zip(plain.named_parameters(), started.parameters(), strict=True)
    changed = {name for (name, before), after in pairs if not torch.equal(before, after)}
    assert changed == {f"layers.3.self_attn.{name}_proj.weight" for name in ("v", "o")}
