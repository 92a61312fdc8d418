"""Start a decoder with induction heads in place, so that a small model reads its context from the first steps on.

A random start needs tens of millions of tokens before the circuit "find where this occurred, copy what followed"
appears (Olsson et al., 2022), more than two CPU cores see in an hour. Here the first two layers begin with it:

    layer 0   two query heads look one and two tokens back (by their biases, through the rotary positions) and write
              what they find into two fresh directions of the stream
    layer 1   one key head compares those directions with the present token and the one before it, in the slow
              rotary pairs, where distance matters little

Everything stays trainable; it is an initialisation like any other (cf. Trockman and Kolter, 2023). Ours.

Legend: E hidden size, D head dimension.
"""

from __future__ import annotations

import torch

from mimovl.model.decoder import Decoder, SelfAttention

__all__ = ["start_with_induction"]

SHARPNESS = 6.0
"""Size of the biases that pick out one distance: the logit at it is about five above its neighbours'."""
MATCH = 3.5
"""Size of the maps that compare tokens."""


@torch.no_grad()
def start_with_induction(decoder: Decoder, *, seed: int = 0) -> None:
    """Set the first two layers' attention in place; needs two query heads a key head and two layers.

    Args:
        decoder: freshly initialised.
        seed: draws the directions.
    """
    config = decoder.config
    shared = config.num_heads // config.num_kv_heads
    if config.num_layers < 2 or shared < 2:
        return
    size, head = config.hidden_size, config.head_dim
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(size, size, generator=generator))[0]
    token, once, twice = basis[:head], basis[head : 2 * head], basis[2 * head : 3 * head]

    back = _attention(decoder, 0)
    wavelengths = config.rope_theta ** (torch.arange(0, head, 2) / head)
    back.q_proj.weight[: 2 * head] *= 0.1
    back.k_proj.weight[:head] *= 0.1
    back.k_proj.bias[:head] = SHARPNESS * torch.cat([torch.ones(head // 2), torch.zeros(head // 2)])
    embedding = float(decoder.embed_tokens.weight.std())
    back.v_proj.weight[:head] = token
    for query, (distance, direction) in enumerate(((1, once), (2, twice))):
        # A query at position t turned back by ``distance`` meets the key of t − distance head on.
        angles = -distance / wavelengths
        rows = slice(query * head, (query + 1) * head)
        back.q_proj.bias[rows] = SHARPNESS * torch.cat([angles.cos(), angles.sin()])
        back.o_proj.weight[:, rows] = embedding * direction.T

    match = _attention(decoder, 1)
    slow = torch.arange(head // 4, head // 2)  # rotary pairs that hardly turn within a hundred tokens
    pairs = torch.cat([slow, slow + head // 2])
    half = len(pairs) // 2
    keys, queries = torch.zeros(head, size), torch.zeros(head, size)
    keys[pairs[:half]], queries[pairs[:half]] = MATCH * once[:half], MATCH * token[:half]
    keys[pairs[half:]], queries[pairs[half:]] = MATCH * twice[:half], MATCH * once[:half]
    match.k_proj.weight[:head] = keys
    for query in range(shared):
        match.q_proj.weight[query * head : (query + 1) * head] = queries


def _attention(decoder: Decoder, layer: int) -> SelfAttention:
    attention = decoder.layers[layer].self_attn
    assert isinstance(attention, SelfAttention)
    return attention
