"""The projector between the towers: RMSNorm, 2×2 patches concatenated, a two-layer MLP (MiMo-VL §2.1)."""

from __future__ import annotations

import torch
from torch import nn

from mimovl.model.config import ModelConfig
from mimovl.model.layers import RMSNorm

__all__ = ["Projector"]


class Projector(nn.Module):
    """Merge each 2×2 neighbourhood of patches into one language-model token."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        vision = config.vision
        merged = vision.hidden_size * vision.merge_unit
        self.norm = RMSNorm(vision.hidden_size, vision.norm_eps)
        self.up = nn.Linear(merged, merged)
        self.down = nn.Linear(merged, config.language.hidden_size)
        self.merged_size = merged

    def forward(self, x_PC: torch.Tensor) -> torch.Tensor:
        """Vision features in merge order, shape (P, C), to visual tokens, shape (P / 4, language hidden size)."""
        merged = self.norm(x_PC).view(-1, self.merged_size)
        out: torch.Tensor = self.down(nn.functional.gelu(self.up(merged)))
        return out
