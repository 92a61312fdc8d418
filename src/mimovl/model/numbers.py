"""Start with numbers in order: a token that stands for a number begins as a code in which near numbers lie near.

With a vector of its own for each of the 169 coordinates, a small model has to see every one of them again and again to
learn where it lies. With a sum of waves (as positions in the transformer, Vaswani et al., 2017; numbers, Zhou et al.,
2025) it learns one map for all. Everything stays trainable; it is an initialisation like any other. Ours.

Legend: E hidden size, W values of a code, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from mimovl.model.decoder import Decoder, SelfAttention

__all__ = ["CODE_SIZE", "number_code", "number_directions", "start_with_number_readers", "start_with_numbers"]

_WAVELENGTHS = (512.0, 256.0, 128.0, 64.0, 32.0, 16.0, 8.0, 4.0)
CODE_SIZE = 2 * len(_WAVELENGTHS)
"""W: a cosine and a sine of each wavelength."""
_HEAD = 2.0
"""Length of the codes in the output head: a number and the next must be told apart."""
_LOUDNESS = 3.0
"""How strongly a number that was read is written: the stream of a trained decoder is ten times its embeddings."""
_REMAINDER = 0.15
"""Share of its random start an embedding keeps, so that a token is more than its number."""


def number_code(values: torch.Tensor) -> torch.Tensor:
    """Codes of length one, shape (…) to (…, W); exact to one within 0 … 511."""
    angles = 2 * torch.pi * values.float()[..., None] / torch.tensor(_WAVELENGTHS)
    waves = torch.cat([angles.cos(), angles.sin()], dim=-1)
    return waves / math.sqrt(len(_WAVELENGTHS))


def number_directions(hidden_size: int, *, seed: int = 0) -> torch.Tensor:
    """Orthonormal directions of the stream, shape (E, E); tokens' codes lie in the first W rows, others are free."""
    generator = torch.Generator().manual_seed(seed)
    directions: torch.Tensor = torch.linalg.qr(torch.randn(hidden_size, hidden_size, generator=generator))[0]
    return directions


@torch.no_grad()
def start_with_numbers(decoder: Decoder, numbers: Mapping[int, float], *, seed: int = 0) -> None:
    """Set the rows of number tokens in the embedding and in the output head.

    Args:
        decoder: freshly initialised.
        numbers: token id to the number it stands for.
        seed: draws the directions (see :func:`number_directions`).
    """
    if not numbers or decoder.config.hidden_size < CODE_SIZE:
        return
    ids = torch.tensor(list(numbers))
    codes = (
        number_code(torch.tensor(list(numbers.values())))
        @ number_directions(decoder.config.hidden_size, seed=seed)[:CODE_SIZE]
    )
    embedding = decoder.embed_tokens.weight
    length = embedding.norm(dim=1).mean()
    embedding[ids] = length * 0.9 * codes + _REMAINDER * embedding[ids]
    if not decoder.config.tie_embeddings:
        decoder.lm_head.weight[ids] += _HEAD * codes


@torch.no_grad()
def start_with_number_readers(decoder: Decoder, kinds: int, *, layer: int, seed: int = 0) -> None:
    """Give one layer's heads the map from a kind of number in what they look at to that number on the tongue.

    Query head n reads the codes of kind n (in the directions n + 1 of :func:`number_directions`; a box has four kinds)
    and writes them where tokens have theirs. Where to look is left to be learned; without this, nothing is read until
    both are learned at once.

    Args:
        decoder: trained or fresh; the values and outputs of the layer's first heads are replaced.
        kinds: how many kinds of number there are.
        layer: which layer.
        seed: as in :func:`start_with_numbers`.
    """
    config = decoder.config
    head, shared = config.head_dim, config.num_heads // config.num_kv_heads
    if config.hidden_size < (kinds + 1) * CODE_SIZE or config.num_heads < kinds or head < shared * CODE_SIZE:
        return
    directions = number_directions(config.hidden_size, seed=seed)
    attention = decoder.layers[layer].self_attn
    assert isinstance(attention, SelfAttention)
    for kind in range(kinds):
        key, place = divmod(kind, shared)
        values = slice(key * head + place * CODE_SIZE, key * head + (place + 1) * CODE_SIZE)
        attention.v_proj.weight[values] = directions[(kind + 1) * CODE_SIZE : (kind + 2) * CODE_SIZE]
        attention.v_proj.bias[values] = 0.0
        outputs = slice(kind * head, (kind + 1) * head)
        attention.o_proj.weight[:, outputs] = 0.0
        written = slice(kind * head + place * CODE_SIZE, kind * head + (place + 1) * CODE_SIZE)
        attention.o_proj.weight[:, written] = _LOUDNESS * directions[:CODE_SIZE].T
