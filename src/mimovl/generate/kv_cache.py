"""Keys and values of running sequences: a fixed number of slots, the active ones always in front.

Because active slots are contiguous, decoding reads the cache as a view and copies nothing. When a sequence ends, the
last active one moves into its slot.

Legend: Y layers, S slots, K key/value heads, L positions, D head dimension, B active sequences, H query heads.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from mimovl.model import LanguageConfig, PackedAttention

__all__ = ["CachedAttention", "KVCache", "RecordingAttention"]


class KVCache:
    """Room for ``slots`` sequences of up to ``length`` tokens.

    Args:
        config: layers, heads and head dimension.
        slots: sequences that can run at once.
        length: tokens a sequence can reach.
        dtype: of keys and values.
        device: where they live.
    """

    def __init__(
        self, config: LanguageConfig, slots: int, length: int, *, dtype: torch.dtype, device: torch.device
    ) -> None:
        shape = (config.num_layers, slots, config.num_kv_heads, length, config.head_dim)
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self.lengths = torch.zeros(slots, dtype=torch.long, device=device)
        """Tokens cached in each slot, shape (S,)."""
        self.slots = slots
        self.length = length

    def put(self, slot: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Store a prompt's keys and values, shape (Y, L, K, D), in a slot."""
        size = keys.shape[1]
        self.keys[:, slot, :, :size] = keys.transpose(1, 2)
        self.values[:, slot, :, :size] = values.transpose(1, 2)
        self.lengths[slot] = size

    def move(self, source: int, target: int) -> None:
        """Copy one sequence from slot to slot."""
        size = int(self.lengths[source])
        self.keys[:, target, :, :size] = self.keys[:, source, :, :size]
        self.values[:, target, :, :size] = self.values[:, source, :, :size]
        self.lengths[target] = size


class RecordingAttention:
    """Packed attention that keeps every layer's keys and values: the prefill."""

    def __init__(self, inner: PackedAttention) -> None:
        self.inner = inner
        self.keys: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []

    def __call__(self, layer: int, q_NHD: torch.Tensor, k_NKD: torch.Tensor, v_NKD: torch.Tensor) -> torch.Tensor:
        """See ``mimovl.model.Attention``."""
        self.keys.append(k_NKD)
        self.values.append(v_NKD)
        return self.inner(layer, q_NHD, k_NKD, v_NKD)


class CachedAttention:
    """One new token of each active sequence against its cache: a decoding step.

    Args:
        cache: the cache; slots 0 … ``active`` − 1 are running.
        active: how many sequences run.
    """

    def __init__(self, cache: KVCache, active: int) -> None:
        self.cache = cache
        self.rows = torch.arange(active, device=cache.lengths.device)
        self.place = cache.lengths[:active]
        self.span = int(self.place.max()) + 1
        seen = torch.arange(self.span, device=cache.lengths.device) <= self.place[:, None]
        self.mask = torch.zeros(active, 1, 1, self.span, dtype=cache.keys.dtype, device=cache.keys.device)
        self.mask.masked_fill_(~seen[:, None, None, :], float("-inf"))

    def __call__(self, layer: int, q_NHD: torch.Tensor, k_NKD: torch.Tensor, v_NKD: torch.Tensor) -> torch.Tensor:
        """See ``mimovl.model.Attention``."""
        keys, values = self.cache.keys[layer], self.cache.values[layer]
        keys[self.rows, :, self.place] = k_NKD
        values[self.rows, :, self.place] = v_NKD
        active, heads, head_dim = q_NHD.shape
        # Query heads that share a key head stand in for query positions, so keys are never repeated.
        q = q_NHD.view(active, k_NKD.shape[1], heads // k_NKD.shape[1], head_dim)
        out = F.scaled_dot_product_attention(
            q, keys[:active, :, : self.span], values[:active, :, : self.span], attn_mask=self.mask
        )
        return out.reshape(active, heads, head_dim)
