"""Rotary positions: two axes in the vision tower, three in the language model.

    vision    height and width of a patch, half of the head's rotary pairs each (Qwen2-VL §2.1)
    language  time | height | width in three contiguous chunks, ``mrope_section`` pairs each (MRoPE);
              for text the three are equal, which is ordinary RoPE

Rotary pairs are (i, i + D/2), the Hugging Face layout. Legend: N tokens, D head dimension.
"""

from __future__ import annotations

import torch

from mimovl.model.config import LanguageConfig, VisionConfig

__all__ = ["Rotation", "language_rotation", "rotate", "vision_rotation"]

Rotation = tuple[torch.Tensor, torch.Tensor]
"""Cosine and sine of each token's rotary angles, shape (N, 1, D) each."""


def _frequencies(dimension: int, theta: float, device: torch.device) -> torch.Tensor:
    """Inverse wavelengths of ``dimension`` / 2 rotary pairs, float32."""
    powers = torch.arange(0, dimension, 2, dtype=torch.float32, device=device) / dimension
    return 1.0 / theta**powers


def _rotation(angles_NP: torch.Tensor, dtype: torch.dtype) -> Rotation:
    """Angles of D/2 pairs, repeated for both halves of the head."""
    angles = torch.cat([angles_NP, angles_NP], dim=-1).unsqueeze(1)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def language_rotation(positions: torch.Tensor, config: LanguageConfig, dtype: torch.dtype = torch.float32) -> Rotation:
    """Multimodal rotary angles of the decoder.

    Args:
        positions: time, height and width position of every token, shape (3, N).
        config: gives theta, head dimension and the three sections.
        dtype: of the result; the angles are computed in float32.
    """
    inverse = _frequencies(config.head_dim, config.rope_theta, positions.device)
    sections = torch.split(inverse, list(config.mrope_section))
    angles = [axis.float()[:, None] * section for axis, section in zip(positions, sections, strict=True)]
    return _rotation(torch.cat(angles, dim=-1), dtype)


def vision_rotation(positions: torch.Tensor, config: VisionConfig) -> Rotation:
    """Two-dimensional rotary angles of the vision tower, always float32.

    Args:
        positions: row and column of every patch, shape (N, 2).
        config: gives the head dimension.
    """
    inverse = _frequencies(config.hidden_size // config.num_heads // 2, 10_000.0, positions.device)
    angles = positions.float()[:, :, None] * inverse
    return _rotation(angles.flatten(1), torch.float32)


def rotate(x_NHD: torch.Tensor, rotation: Rotation) -> torch.Tensor:
    """Turn every head's pairs by the token's angles; shape (N, H, D) in and out, same dtype."""
    cos, sin = rotation
    wide = x_NHD.to(torch.promote_types(x_NHD.dtype, cos.dtype))
    first, second = wide.chunk(2, dim=-1)
    turned = torch.cat([-second, first], dim=-1)
    return (wide * cos + turned * sin).to(x_NHD.dtype)
