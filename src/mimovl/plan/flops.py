"""Floating-point operations of a training step, part by part, from the shapes alone.

    load = Load.of_batch(batch, config)                        what one packed batch holds
    parts = count_flops(config, load, trained=("projector",))  vision, projector, language, head
    mfu = sum(part.model for part in parts.values()) / seconds / peak

A multiply and an add are two operations. Matrix products and attention count; norms, rotary positions, activations and
the softmax do not (they are below one per cent, and no published utilisation counts them). Attention counts the pairs
of query and key that exist: within samples only, causally in the decoder, within windows or frames in the vision
tower. The textbook's 6 · parameters · tokens is not used: it forgets attention, charges the embedding, and
charges frozen parts for weight gradients they do not have.

Legend: N tokens, P patches, C vision hidden size, E language hidden size.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from mimovl.model.config import ModelConfig, VisionConfig
from mimovl.types import IGNORE_INDEX, PackedBatch

__all__ = ["PARTS", "Checkpointing", "Flops", "Load", "count_flops", "flops_per_token"]

Checkpointing = Literal["none", "selective", "full"]
"""What of a block the backward pass computes again (see ``train/parallel_config.py``)."""

PARTS = ("vision", "projector", "language")
"""What can be trained; the output head belongs to the language model."""


@dataclass(frozen=True)
class Flops:
    """Operations of one part."""

    forward: float = 0.0
    backward: float = 0.0
    """Gradients of inputs and weights, as far as somebody needs them."""
    repeated: float = 0.0
    """Computed a second time to save memory: not the model's work, but the machine's."""

    @property
    def model(self) -> float:
        """What model FLOPs utilisation (MFU) counts."""
        return self.forward + self.backward

    @property
    def executed(self) -> float:
        """What the machine computes."""
        return self.model + self.repeated

    def __add__(self, other: Flops) -> Flops:
        return Flops(self.forward + other.forward, self.backward + other.backward, self.repeated + other.repeated)

    def __rmul__(self, times: float) -> Flops:
        return Flops(times * self.forward, times * self.backward, times * self.repeated)


@dataclass(frozen=True)
class Load:
    """What a packed batch asks of the model. All figures add up over batches."""

    tokens: float
    pairs: float
    """Query-key pairs of one decoder layer and head: L (L + 1) / 2 of a sample of L tokens."""
    labels: float
    """Tokens that carry loss."""
    patches: float = 0.0
    window_pairs: float = 0.0
    """Pairs of one windowed block and head of the vision tower."""
    frame_pairs: float = 0.0
    """Pairs of one block with attention over whole frames."""

    @classmethod
    def of(cls, lengths: Iterable[int], grids: Iterable[Sequence[int]], *, labels: float, config: ModelConfig) -> Load:
        """Exactly what samples of these lengths with pictures of these patch grids ask.

        Args:
            lengths: tokens of each sample.
            grids: (frames / 2, rows, columns) in patches of each picture or clip.
            labels: tokens that carry loss.
            config: window and merge sizes.
        """
        lengths, grids = list(lengths), [tuple(grid) for grid in grids]
        return cls(
            tokens=sum(lengths),
            pairs=sum(length * (length + 1) / 2 for length in lengths),
            labels=labels,
            patches=sum(frames * rows * columns for frames, rows, columns in grids),
            window_pairs=sum(
                frames * _window_squares(rows, config.vision) * _window_squares(columns, config.vision)
                for frames, rows, columns in grids
            ),
            frame_pairs=sum(frames * (rows * columns) ** 2 for frames, rows, columns in grids),
        )

    @classmethod
    def of_batch(cls, batch: PackedBatch, config: ModelConfig) -> Load:
        """Exactly what a batch asks; its segment bounds, grids and labels are read in main memory."""
        batch = batch.on_host
        return cls.of(
            batch.cu_seqlens.diff().tolist(),
            batch.grid_thw.tolist(),
            labels=float((batch.labels != IGNORE_INDEX).sum()),
            config=config,
        )

    @classmethod
    def typical(
        cls,
        config: ModelConfig,
        length: float,
        *,
        visual_share: float = 0.5,
        picture_tokens: int = 1024,
        sample_tokens: int | None = None,
        label_share: float = 0.5,
    ) -> Load:
        """What a pack of ``length`` tokens asks on average, its pictures taken as squares.

        Args:
            config: the shapes.
            length: tokens of the pack.
            visual_share: share of them that stand for pictures.
            picture_tokens: tokens of a picture, or of two frames of a clip.
            sample_tokens: tokens of a sample; None for one sample as long as the pack.
            label_share: share of the tokens that carry loss.
        """
        sample = min(float(sample_tokens or length), float(length))
        merge = config.vision.spatial_merge_size
        side = max(1, round(math.sqrt(picture_tokens))) * merge
        patches = length * visual_share * config.vision.merge_unit
        return cls(
            tokens=length,
            pairs=length * (sample + 1) / 2,
            labels=length * label_share,
            patches=patches,
            window_pairs=patches * (_window_squares(side, config.vision) / side) ** 2,
            frame_pairs=patches * picture_tokens * config.vision.merge_unit,
        )


def _window_squares(patches: int, vision: VisionConfig) -> int:
    """Sum of squared window sides, in patches, along one axis of a frame; the last window may be smaller."""
    side = vision.window_size // vision.spatial_merge_size // vision.patch_size * vision.spatial_merge_size
    whole, rest = divmod(patches, side)
    return whole * side**2 + rest**2


def count_flops(
    config: ModelConfig,
    load: Load,
    trained: Collection[str] = PARTS,
    *,
    checkpointing: Checkpointing = "none",
) -> dict[str, Flops]:
    """Operations of forward and backward over a batch, by part: vision, projector, language, head.

    A frozen part has no weight gradients, and no backward pass at all where nothing before it is trained.

    Args:
        config: the shapes.
        load: what the batch holds.
        trained: parts whose parameters change.
        checkpointing: what is computed again in the backward pass.
    """
    vision, language = config.vision, config.language
    sees, projects, speaks = (part in trained for part in PARTS)
    seen = load.patches > 0
    patches, merged = load.patches, load.patches / vision.merge_unit
    parts: dict[str, Flops] = {}

    width = vision.hidden_size
    full = len([number for number in vision.full_attention_blocks if number < vision.depth])
    pairs = full * load.frame_pairs + (vision.depth - full) * load.window_pairs
    blocks = vision.depth * _linear(patches, width, 4 * width + 3 * vision.intermediate_size, sees, sees)
    blocks = _again(blocks + _attention(pairs, width, sees), sees, checkpointing)
    # Pixels need no gradient.
    parts["vision"] = _linear(patches, vision.patch_dim, width, False, sees) + blocks

    cell = width * vision.merge_unit
    reached = (sees or projects) and seen
    parts["projector"] = _linear(merged, cell, cell, reached, projects) + _linear(
        merged, cell, language.hidden_size, reached, projects
    )

    width = language.hidden_size
    reached = speaks or reached
    queries, keys = language.num_heads * language.head_dim, language.num_kv_heads * language.head_dim
    outputs = 2 * queries + 2 * keys + 3 * language.intermediate_size
    layers = language.num_layers * _linear(load.tokens, width, outputs, reached, speaks)
    layers = layers + _attention(language.num_layers * load.pairs, queries, reached)
    parts["language"] = _again(layers, reached, checkpointing)
    parts["head"] = _linear(load.labels, width, language.vocab_size, reached, speaks)
    return parts


def flops_per_token(
    config: ModelConfig,
    length: int,
    trained: Collection[str] = PARTS,
    *,
    visual_share: float = 0.5,
    picture_tokens: int = 1024,
    sample_tokens: int | None = None,
    label_share: float = 0.5,
) -> float:
    """Model FLOPs of a training step for each token of packs of this length (see :meth:`Load.typical`)."""
    load = Load.typical(
        config,
        length,
        visual_share=visual_share,
        picture_tokens=picture_tokens,
        sample_tokens=sample_tokens,
        label_share=label_share,
    )
    return sum(part.model for part in count_flops(config, load, trained).values()) / length


def _linear(rows: float, inputs: int, outputs: int, input_gradient: bool, weight_gradient: bool) -> Flops:
    """A linear map of ``rows`` vectors."""
    forward = 2.0 * rows * inputs * outputs
    return Flops(forward, forward * (input_gradient + weight_gradient))


def _attention(pairs: float, width: int, gradient: bool) -> Flops:
    """Queries times keys and weights times values; ``width`` is that of all query heads together.

    The backward pass has four products for the forward's two. Kernels that do not keep the weights compute queries
    times keys again: one more.
    """
    product = 2.0 * pairs * width
    return Flops(2 * product, 4 * product * gradient, product * gradient)


def _again(blocks: Flops, gradient: bool, checkpointing: Checkpointing) -> Flops:
    """Blocks whose forward pass is repeated where checkpointing asks for it; selective keeps all that counts here."""
    if checkpointing != "full" or not gradient:
        return blocks
    return blocks + Flops(repeated=blocks.forward)
