"""Start with numbers in order: a token that stands for a number begins as a code in which near numbers lie near.

With a vector of its own for each of the 169 coordinates, a small model has to see every one of them again and again to
learn where it lies. With a sum of waves (as positions in the transformer, Vaswani et al., 2017; numbers, Zhou et al.,
2025) it learns one map for all. Everything stays trainable; it is an initialisation like any other. Ours.

Legend: E hidden size, W values of a code, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from mimovl.model.decoder import Decoder

__all__ = ["CODE_SIZE", "number_code", "number_directions", "start_with_numbers"]

_WAVELENGTHS = (512.0, 256.0, 128.0, 64.0, 32.0, 16.0, 8.0, 4.0)
_AMPLITUDES = (1.2, 1.2, 1.2, 1.0, 1.0, 0.8, 0.5, 0.3)
CODE_SIZE = 2 * len(_WAVELENGTHS)
"""W: a cosine and a sine of each wavelength."""
_REMAINDER = 0.15
"""Share of its random start an embedding keeps, so that a token is more than its number."""


def number_code(values: torch.Tensor) -> torch.Tensor:
    """Codes of length one, shape (…) to (…, W); exact to one within 0 … 511."""
    angles = 2 * torch.pi * values.float()[..., None] / torch.tensor(_WAVELENGTHS)
    amplitudes = torch.tensor(_AMPLITUDES)
    waves = torch.cat([angles.cos() * amplitudes, angles.sin() * amplitudes], dim=-1)
    return waves / amplitudes.square().sum().sqrt()


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
        decoder.lm_head.weight[ids] += codes
