"""Memory of one process in a training step, from the shapes alone.

    parameters, gradients, optimizer    what stays between steps, divided by FSDP
    gathered                            whole blocks that FSDP or a narrower dtype puts together to compute with
    activations                         what forward keeps for backward
    workspace                           the largest of what comes and goes: the loss, or one block's backward pass

Activations are counted tensor by tensor as ``model/`` computes them without ``torch.compile`` (which keeps less); a
frozen map keeps no input of its own, and a part before which nothing is trained keeps nothing. The logits never exist
as a whole (``train/linear_cross_entropy.py``), so they are no line of their own.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, fields
from functools import lru_cache

from mimovl.model.config import LanguageConfig, ModelConfig, VisionConfig
from mimovl.model.vlm import VisionLanguageModel, build_model
from mimovl.plan.flops import PARTS, Checkpointing, Load

__all__ = ["MIN_CHUNK_LOGITS", "Memory", "Spread", "activation_bytes", "num_parameters", "plan_memory"]

MIN_CHUNK_LOGITS = 2**24
"""As in ``train/linear_cross_entropy.py``: logits that may always exist at once."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How a step is spread over processes, and the bytes of each kind of number."""

    shards: int = 1
    """Processes among which parameters, gradients and optimizer states are divided."""
    reshard: bool = True
    """Gathered blocks are dropped after their forward pass."""
    checkpointing: Checkpointing = "none"
    compute: int = 4
    """Bytes of a number in forward and backward."""
    parameter: int = 4
    gradient: int = 4
    state: int = 4
    states: float = 2
    """Numbers the optimizer keeps for each parameter."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes of one process."""

    parameters: float
    gradients: float
    optimizer: float
    gathered: float
    activations: float
    workspace: float

    @property
    def total(self) -> float:
        """All of it."""
        return float(sum(getattr(self, part.name) for part in fields(self)))


@lru_cache(maxsize=8)
def num_parameters(config: ModelConfig) -> dict[str, int]:
    """Parameters by part: vision, projector, language; and of the largest block of each tower and the embeddings."""
    model: VisionLanguageModel = build_model(config, device="meta")
    counts = model.num_parameters()
    for name, blocks in (("vision_block", model.vision.blocks), ("language_block", model.language.layers)):
        counts[name] = max((sum(p.numel() for p in block.parameters()) for block in blocks), default=0)
    counts["embeddings"] = config.language.vocab_size * config.language.hidden_size
    return counts


def plan_memory(
    config: ModelConfig, load: Load, trained: Collection[str] = PARTS, spread: Spread | None = None
) -> Memory:
    """Memory of one process at the peak of a step.

    Args:
        config: the shapes.
        load: what the process computes at once.
        trained: parts whose parameters change.
        spread: over how many processes, and in which precision.
    """
    spread = spread or Spread()
    counts = num_parameters(config)
    everything, learned = (sum(counts[part] for part in parts) for parts in (PARTS, set(PARTS) & set(trained)))
    kept, added = activation_bytes(config, load, trained, checkpointing=spread.checkpointing, width=spread.compute)
    gathered = 0.0
    if spread.shards > 1 or spread.parameter != spread.compute:
        tables = counts["embeddings"] * (1 if config.language.tie_embeddings else 2)
        block = max(counts["vision_block"], counts["language_block"])
        # The tables at both ends, the block at work and the next one, which is gathered meanwhile.
        whole = tables + counts["projector"] + 2 * block if spread.reshard else everything
        gathered = float(spread.compute * (whole + block * bool(learned)))  # and the whole gradient of one block
    return Memory(
        parameters=spread.parameter * everything / spread.shards,
        gradients=spread.gradient * learned / spread.shards,
        optimizer=spread.state * spread.states * learned / spread.shards,
        gathered=gathered,
        activations=kept,
        workspace=max(added, _loss_bytes(config.language, load, trained, spread.compute)),
    )


def activation_bytes(
    config: ModelConfig,
    load: Load,
    trained: Collection[str] = PARTS,
    *,
    checkpointing: Checkpointing = "none",
    width: int = 4,
) -> tuple[float, float]:
    """Bytes that forward keeps for backward, and what one block's backward pass adds to them for a while.

    Args:
        config: the shapes.
        load: what is computed at once.
        trained: parts whose parameters change.
        checkpointing: what of a block is computed again.
        width: bytes of a number; norms, their statistics and pixels are float32 in any case.
    """
    sees, projects, speaks = (part in trained for part in PARTS)
    sees, projects = sees and load.patches > 0, projects and load.patches > 0
    # The batch itself: pixels, and five integers and a weight for each token.
    kept, added = 4.0 * load.patches * config.vision.patch_dim + 48.0 * load.tokens, 0.0
    if sees:
        block = _vision_block(config.vision, width)
        kept += load.patches * config.vision.depth * block.kept(checkpointing)
        kept += load.patches * 2 * 4.0 * (config.vision.hidden_size // config.vision.num_heads)  # rotary angles
        # The embedding of patches keeps a narrower copy of its own.
        kept += load.patches * config.vision.patch_dim * width * (width < 4)
        added = load.patches * block.added(checkpointing)
    if sees or projects:
        size = config.vision.hidden_size
        # The norm, both maps' inputs, and the input of gelu, which is as wide as its output.
        kept += load.patches * (_norm(size, width, sees, projects) + width * size * (1 + projects))
        kept += load.patches / config.vision.merge_unit * width * config.language.hidden_size  # put among the tokens
    if sees or projects or speaks:
        block = _decoder_layer(config.language, width, speaks)
        kept += load.tokens * config.language.num_layers * block.kept(checkpointing)
        kept += load.tokens * 2 * width * config.language.head_dim
        added = max(added, load.tokens * block.added(checkpointing))
        # The last norm's output is not kept: the loss takes the rows with a label out of it.
        kept += load.tokens * (_norm(config.language.hidden_size, width, True, False))
        kept += load.tokens * width * config.language.hidden_size * speaks
    return kept, added


@dataclass(frozen=True)
class _Block:
    """Bytes of a block for each of its tokens or patches."""

    input: float
    outputs: float
    """Of matrix products and attention: what selective checkpointing keeps."""
    saved: float
    """All that its backward pass reads."""
    passing: float
    """Gradients that come and go in its backward pass."""

    def kept(self, checkpointing: Checkpointing) -> float:
        """From forward to backward."""
        if checkpointing == "none":
            return self.saved
        return self.input + (self.outputs if checkpointing == "selective" else 0.0)

    def added(self, checkpointing: Checkpointing) -> float:
        """While it runs backward."""
        again = {"none": 0.0, "selective": max(0.0, self.saved - self.outputs), "full": self.saved}
        return again[checkpointing] + self.passing


def _norm(size: int, width: int, reached: bool, trained: bool) -> float:
    """RMSNorm: input and one statistic in float32; if trained, what it normalised and what the maps behind it take."""
    return (4.0 * size + 4.0) * reached + 2.0 * width * size * trained


def _decoder_layer(language: LanguageConfig, width: int, trained: bool) -> _Block:
    size, inner = language.hidden_size, language.intermediate_size
    queries, keys = language.num_heads * language.head_dim, language.num_kv_heads * language.head_dim
    statistics = 4.0 * language.num_heads
    # Queries, keys, values and what attention gives. Of the feed-forward gate and up: the rest is made again.
    mixed = width * (2 * queries + 2 * keys) + statistics
    return _Block(
        input=width * size,
        outputs=mixed + width * (2 * size + 2 * inner),
        saved=2 * _norm(size, width, True, trained) + mixed + width * inner * 2,
        passing=width * (3 * inner + 2 * size),
    )


def _vision_block(vision: VisionConfig, width: int) -> _Block:
    size, inner = vision.hidden_size, vision.intermediate_size
    # Values stay within the product that made them together with queries and keys, which are kept turned.
    mixed = width * 6 * size + 4.0 * vision.num_heads
    return _Block(
        input=width * size,
        outputs=width * (6 * size + 2 * inner) + 4.0 * vision.num_heads,
        saved=2 * _norm(size, width, True, True) + mixed + width * inner * 2,
        passing=width * (3 * inner + 2 * size),
    )


def _loss_bytes(language: LanguageConfig, load: Load, trained: Collection[str], width: int) -> float:
    """The loss at its largest: one chunk of logits, and the gradients of the hidden states and of the output matrix."""
    rows, size, vocabulary = load.labels, language.hidden_size, language.vocab_size
    narrow = width * (width < 4)
    kept = rows * size * width
    if rows * vocabulary <= (largest := max(MIN_CHUNK_LOGITS, vocabulary * size // 4)):
        # In one chunk it is computed plainly: logits, their logarithms, and the gradients of both.
        return kept + rows * vocabulary * (narrow + 3 * 4.0)
    gradients = 4.0 * rows * size + 4.0 * vocabulary * size * ("language" in trained)
    chunk = rows / math.ceil(rows / (largest // vocabulary))  # all of one size
    return kept + gradients + chunk * vocabulary * (4.0 + narrow)
