"""The causal language model: pre-norm layers of grouped-query attention and SwiGLU (Qwen2 layout).

The attention is an argument (see ``attention.Attention``): the trainer passes one over packed segments, the rollout
engine one over its key/value cache, so both run these very lines on the very same parameters.

Legend: N tokens, E hidden size, H query heads, K key/value heads, D head dimension, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import nn

from mimovl.model.attention import Attention
from mimovl.model.config import LanguageConfig
from mimovl.model.layers import RMSNorm, SwiGLU
from mimovl.model.rope import Rotation, language_rotation, rotate

__all__ = ["Decoder", "SelfAttention"]


class SelfAttention(nn.Module):
    """Grouped-query attention of one layer; what sees what is the caller's."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        self.q_proj = nn.Linear(config.hidden_size, config.num_heads * config.head_dim)
        self.k_proj = nn.Linear(config.hidden_size, config.num_kv_heads * config.head_dim)
        self.v_proj = nn.Linear(config.hidden_size, config.num_kv_heads * config.head_dim)
        self.o_proj = nn.Linear(config.num_heads * config.head_dim, config.hidden_size, bias=False)

    def forward(self, layer: int, x_NE: torch.Tensor, rotation: Rotation, attention: Attention) -> torch.Tensor:
        """Shape (N, E) in and out."""
        q, k, v = (
            projection(x_NE).unflatten(-1, (-1, self.head_dim))
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        mixed = attention(layer, rotate(q, rotation), rotate(k, rotation), v)
        out: torch.Tensor = self.o_proj(mixed.flatten(1))
        return out


class _DecoderLayer(nn.Module):
    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.norm_eps)
        self.self_attn = SelfAttention(config)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.norm_eps)
        self.mlp = SwiGLU(config.hidden_size, config.intermediate_size, bias=False)

    def forward(self, layer: int, x_NE: torch.Tensor, rotation: Rotation, attention: Attention) -> torch.Tensor:
        x_NE = x_NE + self.self_attn(layer, self.input_layernorm(x_NE), rotation, attention)
        out: torch.Tensor = x_NE + self.mlp(self.post_attention_layernorm(x_NE))
        return out


class Decoder(nn.Module):
    """Token embeddings in, final hidden states out; ``lm_head`` turns those into logits."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.config = config
        # Left blank: ``initialise`` or a checkpoint fills it. A draw on the meta device would load half of torch.
        blank = torch.empty(config.vocab_size, config.hidden_size)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, _weight=blank)
        self.layers = nn.ModuleList(_DecoderLayer(config) for _ in range(config.num_layers))
        self.norm = RMSNorm(config.hidden_size, config.norm_eps)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        if config.tie_embeddings:
            self.lm_head.weight = self.embed_tokens.weight

    def forward(self, x_NE: torch.Tensor, positions: torch.Tensor, attention: Attention) -> torch.Tensor:
        """Run the layers.

        Args:
            x_NE: embedded tokens, visual ones already in place, shape (N, E).
            positions: multimodal rotary positions, shape (3, N).
            attention: what sees what.

        Returns:
            Normalised hidden states, shape (N, E).
        """
        rotation = language_rotation(positions, self.config, x_NE.dtype)
        for number, layer in enumerate(self.layers):
            x_NE = layer(number, x_NE, rotation, attention)
        out: torch.Tensor = self.norm(x_NE)
        return out
