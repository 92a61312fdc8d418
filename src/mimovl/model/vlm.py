"""The vision-language model: encoder → projector → decoder over one packed batch.

    batch = PackedBatch(...)            tokens, positions, segments, patches: data/ builds it
    hidden = model(batch)               (N, E), no padding, no attention across samples
    logits = model.logits(hidden)       (N, V)

The forward pass equals ``Qwen2_5_VLForConditionalGeneration`` on each sample alone (tests/parity).
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import nn

from mimovl.model.attention import Attention, PackedAttention, Segments
from mimovl.model.config import ModelConfig, preset
from mimovl.model.decoder import Decoder
from mimovl.model.layers import RMSNorm
from mimovl.model.projector import Projector
from mimovl.model.vision_encoder import VisionEncoder
from mimovl.types import PackedBatch

__all__ = ["TokenShare", "VisionLanguageModel", "build_model", "initialise"]


class TokenShare(Protocol):
    """The part of a batch's tokens that one process computes, where several share it."""

    rows: torch.Tensor
    """Numbers of its tokens in the batch, ascending, shape (R,)."""
    attention: Attention
    """Mixes its queries with all keys they may see."""

    def visual(self, model: VisionLanguageModel) -> torch.Tensor:
        """Visual tokens of the whole batch, shape (P / 4, language hidden size)."""
        ...


class VisionLanguageModel(nn.Module):
    """Native-resolution vision tower, MLP projector and language model (MiMo-VL §2.1)."""

    sees_always = False
    """Send a blank picture, whose tokens count nothing, through the tower where a batch has none: processes that divide
    the tower's parameters must all pass through it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.vision = VisionEncoder(config.vision)
        self.projector = Projector(config)
        self.language = Decoder(config.language)
        self.side_files: dict[str, bytes] = {}
        """Tokenizer, processor and template files that travel with the weights, by file name."""

    @property
    def device(self) -> torch.device:
        """Where the parameters live."""
        return self.language.embed_tokens.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the parameters."""
        return self.language.embed_tokens.weight.dtype

    def encode(self, patches: torch.Tensor, grid_thw: torch.Tensor) -> torch.Tensor:
        """Visual tokens of pictures and clips.

        Args:
            patches: flattened pixels in merge order, shape (P, patch_dim).
            grid_thw: patch grid of each, shape (I, 3); read on the CPU.

        Returns:
            Shape (P / 4, language hidden size), picture after picture.
        """
        out: torch.Tensor = self.projector(self.vision(patches, grid_thw))
        return out

    def encode_blank(self) -> torch.Tensor:
        """Visual tokens of the smallest picture there is, without anything on it."""
        vision = self.config.vision
        blank = torch.zeros(vision.merge_unit, vision.patch_dim, device=self.device)
        grid = torch.tensor([[1, vision.spatial_merge_size, vision.spatial_merge_size]])
        return self.encode(blank, grid)

    def embed(
        self, batch: PackedBatch, visual: torch.Tensor | None = None, rows: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Token embeddings with the visual tokens in their places, shape (N, E), or those of ``rows``.

        Args:
            batch: the packed batch.
            visual: tokens from :meth:`encode`, if they are at hand already (rollouts encode a picture once a group).
            rows: numbers of the tokens that are wanted, ascending; all if unset.
        """
        if rows is not None:
            assert visual is not None, "whoever takes a part of the tokens brings the visual ones"
            return self._embed_rows(batch, visual, rows)
        x_NE: torch.Tensor = self.language.embed_tokens(batch.tokens)
        if visual is None and batch.patches.shape[0]:
            visual = self.encode(batch.patches, batch.on_host.grid_thw)
        if visual is None and self.sees_always:
            return x_NE + 0.0 * self.encode_blank().sum().to(x_NE.dtype)
        if visual is None or not visual.shape[0]:
            return x_NE
        assert visual.shape[0] == batch.visual_index.shape[0], (
            f"{visual.shape[0]} visual tokens for {batch.visual_index.shape[0]} places"
        )
        return x_NE.index_copy(0, batch.visual_index, visual.to(x_NE.dtype))

    def _embed_rows(self, batch: PackedBatch, visual: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        x_RE: torch.Tensor = self.language.embed_tokens(batch.tokens[rows])
        number = torch.full_like(batch.tokens, -1)
        number[batch.visual_index] = torch.arange(len(batch.visual_index), device=number.device)
        number = number[rows]
        places = (number >= 0).nonzero().flatten()
        x_RE = x_RE.index_copy(0, places, visual[number[places]].to(x_RE.dtype))
        # However few of them are here, all processes pass through the tower's gradients.
        return x_RE + 0.0 * visual.sum().to(x_RE.dtype)

    def forward(
        self, batch: PackedBatch, visual: torch.Tensor | None = None, share: TokenShare | None = None
    ) -> torch.Tensor:
        """Final hidden states of all tokens, shape (N, E), or of those of ``share``; ``visual`` as in :meth:`embed`."""
        if share is not None:
            x_RE = self.embed(batch, share.visual(self), share.rows)
            shared: torch.Tensor = self.language(x_RE, batch.positions[:, share.rows], share.attention)
            return shared
        attention = PackedAttention(Segments(batch.cu_seqlens, batch.bounds), causal=True)
        out: torch.Tensor = self.language(self.embed(batch, visual), batch.positions, attention)
        return out

    def auxiliary_loss(self, batch: PackedBatch) -> torch.Tensor | None:
        """A further term of the loss after a forward pass, summed over the batch; a plain model has none."""
        return None

    def extra_files(self) -> dict[str, bytes]:
        """Files of a checkpoint beyond the published layout, by name; a plain model has none."""
        return {}

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Next-token logits of hidden states, shape (…, E) to (…, V)."""
        out: torch.Tensor = self.language.lm_head(hidden)
        return out

    def num_parameters(self) -> dict[str, int]:
        """Parameters by part; a tied output head counts once."""
        parts = {"vision": self.vision, "projector": self.projector, "language": self.language}
        return {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}


def build_model(
    config: ModelConfig | str, *, seed: int | None = None, device: torch.device | str = "cpu"
) -> VisionLanguageModel:
    """A freshly initialised model of a configuration or preset name.

    :func:`initialise` draws the weights; on the meta device nothing is allocated or drawn.

    Args:
        config: shapes, or the name of a preset.
        seed: draws the weights from a generator of its own; None uses the global one.
        device: where the parameters live.
    """
    if isinstance(config, str):
        config = preset(config)
    with torch.device(device):
        model = VisionLanguageModel(config)
    if torch.device(device).type != "meta":
        initialise(model, seed=seed)
    return model


@torch.no_grad()
def initialise(model: nn.Module, *, seed: int | None = None) -> None:
    """Draw fresh weights for every linear map and embedding below ``model``; norms become one, biases zero.

    Wide matrices are normal with standard deviation 0.02 as in Qwen2. Ours, because small models train faster so:
    narrow ones (fewer than 1024 inputs) have standard deviation inputs^-½, narrow embeddings 0.3, and the last matrix
    of every residual branch is scaled by 0.1.
    """
    first = next(model.parameters(), None)
    generator = None
    if seed is not None and first is not None:
        generator = torch.Generator(device=first.device).manual_seed(seed)
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            fan_in = module.weight.shape[1]
            std = 0.02 if fan_in >= 1024 else fan_in**-0.5
            if name.endswith(("o_proj", "down_proj", "attn.proj")):
                std *= 0.1
            if name.endswith("lm_head"):
                std = 0.02
            module.weight.normal_(0.0, std, generator=generator)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.Embedding):
            module.weight.normal_(0.0, 0.02 if module.weight.shape[1] >= 1024 else 0.3, generator=generator)
        elif isinstance(module, RMSNorm):
            module.weight.fill_(1.0)
