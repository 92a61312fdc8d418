import torch

from mimovl.model import PackedAttention, Segments
from tests.data import small


def run(model, tokens, positions, lengths=None):
    bounds = torch.tensor([0, *(lengths or [len(tokens)])]).cumsum(0)
    attention = PackedAttention(Segments(bounds), causal=True)
    with torch.no_grad():
        return model.language(model.language.embed_tokens(tokens), positions, attention)


def text_positions(length):
    return torch.arange(length).expand(3, -1)


def test_a_prefix_does_not_depend_on_what_follows():
    model = small.model()
    tokens = torch.arange(20) % 50
    whole = run(model, tokens, text_positions(20))
    prefix = run(model, tokens[:12], text_positions(12))
    assert torch.allclose(whole[:12], prefix, atol=1e-5)


def test_positions_matter_only_by_their_distances():
    model = small.model()
    tokens = torch.arange(9)
    here, there = (run(model, tokens, text_positions(9) + shift) for shift in (0, 100))
    assert torch.allclose(here, there, atol=1e-4)


def test_every_axis_of_the_positions_is_used():
    model = small.model()
    tokens = torch.arange(9)
    plain = run(model, tokens, text_positions(9))
    for axis in range(3):
        positions = text_positions(9).clone()
        positions[axis, 3:] += 7
        assert (run(model, tokens, positions)[3:] - plain[3:]).abs().max() > 1e-3


def test_the_attention_is_the_callers():
    """The rollout engine passes one over its cache; each layer says which it is."""
    model = small.model()
    seen = []

    def nothing(layer, q, k, v):
        seen.append((layer, q.shape, k.shape, v.shape))
        return torch.zeros_like(q)

    model.language(torch.randn(5, 64), text_positions(5), nothing)
    assert seen == [(layer, (5, 4, 16), (5, 2, 16), (5, 2, 16)) for layer in range(2)]


def test_a_tied_head_is_the_embedding():
    tied = small.model(tie_embeddings=True).language
    assert tied.lm_head.weight is tied.embed_tokens.weight
    untied = small.model().language
    assert untied.lm_head.weight is not untied.embed_tokens.weight
