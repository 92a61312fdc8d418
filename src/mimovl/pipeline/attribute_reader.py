"""The language model's view of a picture before there is a vision tower: its attributes, patch by patch.

The vision tower's base learns to tell what lies on each patch, with linear heads that are thrown away. This is the
other half: the same attributes, as an embedding that is thrown away too, stand at the picture's places in the prompt,
so the decoder learns to read a picture (find, count, box) without one. What remains for the stages of a run is what
they are for: a projector from the one to the other.

Legend: P patches, A attributes of a patch, E language hidden size.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import nn

from mimovl.curate.world import WorldItem
from mimovl.data import Processor, Tokenizer
from mimovl.model import (
    CODE_SIZE,
    ModelConfig,
    PackedAttention,
    Segments,
    TokenShare,
    VisionLanguageModel,
    number_code,
    number_directions,
    start_with_number_readers,
)
from mimovl.pipeline.guide import Guide
from mimovl.train.vision_base import CENTRE, PATCH, Region, patch_targets, target_sizes
from mimovl.types import IGNORE_INDEX, Media, PackedBatch, Sample

__all__ = [
    "TABLE_FILE",
    "AttributeModel",
    "AttributeProcessor",
    "attribute_classes",
    "attribute_sizes",
    "with_attributes",
]

_LOUDNESS = 8.0
"""A trained decoder's layers write ten times what its embeddings are; a picture must be heard among them."""
TABLE_FILE = "attributes.pt"
"""The table of attributes beside a checkpoint, for the stage after it."""


def attribute_sizes(vocabulary: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Number of classes of each attribute of a patch, in the order they are kept."""
    return target_sizes(vocabulary)


def attribute_classes(item: WorldItem, vocabulary: Mapping[str, Sequence[str]]) -> tuple[np.ndarray, int, int]:
    """Class numbers of every patch of an item's picture or clip, and its rows and columns of patches.

    Returns:
        Shape (P, A) in merge order, int16, ``IGNORE_INDEX`` where an attribute does not apply; rows; columns.
    """
    first = item.frames[0] if item.frames else item.image
    assert first is not None, "an item without a picture has no attributes"
    rows, columns = first.height // PATCH, first.width // PATCH
    count = max(1, len(item.frames) // 2)
    frames = [
        [
            Region(note.box, note.attributes)
            for note in item.annotations
            if note.frames is None or note.frames[0] <= 2 * pair < note.frames[1]
        ]
        for pair in range(count)
    ]
    targets = patch_targets(frames, rows, columns, vocabulary).classes
    stacked = torch.stack([targets[name] for name in attribute_sizes(vocabulary)], dim=1)
    return stacked.numpy().astype(np.int16), rows, columns


def with_attributes(sample: Sample, item: WorldItem, vocabulary: Mapping[str, Sequence[str]]) -> Sample:
    """The sample with its picture's pixels replaced by attribute classes; only :class:`AttributeProcessor` reads it."""
    if not sample.media or item.document:
        return sample
    classes, _, _ = attribute_classes(item, vocabulary)
    [(key, media)] = sample.media.items()
    return replace(sample, media={key: replace(media, data=classes.tobytes())})


@dataclass(frozen=True)
class AttributeProcessor(Processor):
    """A processor whose pictures are attribute classes.

    Args:
        reader: the model they are for; its table travels with the checkpoint's files.
    """

    reader: AttributeModel = field(kw_only=True)

    def visual(self, media: Media, *, name: str) -> tuple[torch.Tensor, tuple[int, int, int], float]:
        """Classes of every patch as float32, shape (P, A); the patch grid; seconds between frame pairs."""
        classes = np.frombuffer(media.data, dtype=np.int16).reshape(-1, len(self.reader.sizes))
        rows, columns = media.height // PATCH, media.width // PATCH
        seconds = self.image.temporal_patch_size / media.fps if media.kind == "video" else 0.0
        grid = (len(classes) // (rows * columns), rows, columns)
        return torch.from_numpy(classes.astype(np.float32)), grid, seconds

    def visual_tokens(self, media: Media, source: bytes | BinaryIO, *, name: str) -> int:
        """A token for each merged cell of patches."""
        size = len(source if isinstance(source, bytes) else source.read())
        return size // np.dtype(np.int16).itemsize // len(self.reader.sizes) // self.config.vision.merge_unit

    def __getstate__(self) -> dict[str, Any]:
        """What processes that read ahead are sent: of the model, which may be on a GPU, only what its classes are."""
        return {**self.__dict__, "reader": SimpleNamespace(sizes=self.reader.sizes)}

    def files(self) -> dict[str, bytes]:
        """Those of the processor, and the table of attributes."""
        buffer = io.BytesIO()
        torch.save(self.reader.attributes.state_dict(), buffer)
        return {**super().files(), TABLE_FILE: buffer.getvalue()}


class AttributeModel(VisionLanguageModel):
    """The decoder behind an embedding of attributes in the place of tower and projector.

    Args:
        config: of the whole model; tower and projector are there, untouched, so that checkpoints are whole.
        vocabulary: attribute name to its values.
    """

    def __init__(self, config: ModelConfig, vocabulary: Mapping[str, Sequence[str]]) -> None:
        super().__init__(config)
        self.sizes = attribute_sizes(vocabulary)
        self.vocabulary = vocabulary
        sizes = list(self.sizes.values())
        unit = config.vision.merge_unit
        # One table for every attribute of every patch of a merged cell: (cell place, attribute, class) → row.
        starts = torch.tensor([0, *sizes]).cumsum(0)
        self.register_buffer(
            "starts", starts[:-1][None, :] + torch.arange(unit)[:, None] * starts[-1], persistent=False
        )
        table = nn.EmbeddingBag(
            int(starts[-1]) * unit + 1, config.language.hidden_size, mode="sum", padding_idx=int(starts[-1]) * unit
        )
        nn.init.normal_(table.weight, std=0.1)
        self.attributes = nn.ModuleDict({"table": table})
        self.nothing = table.num_embeddings - 1
        self.guide: Guide | None = None
        """Tells heads where to look while the model is trained."""

    def encode(self, patches: torch.Tensor, grid_thw: torch.Tensor) -> torch.Tensor:
        """Summed attribute embeddings of each merged cell, shape (P / 4, E)."""
        unit = self.config.vision.merge_unit
        classes = patches.long().view(-1, unit, patches.shape[1])
        starts = self.starts
        assert isinstance(starts, torch.Tensor)
        rows = torch.where(classes == IGNORE_INDEX, self.nothing, classes + starts)
        out: torch.Tensor = self.attributes["table"](rows.flatten(1))
        return out

    def forward(
        self, batch: PackedBatch, visual: torch.Tensor | None = None, share: TokenShare | None = None
    ) -> torch.Tensor:
        """As the model it stands for; a guide watches."""
        if not self.guide or not self.training:
            return super().forward(batch, visual)
        attention = self.guide.watch(PackedAttention(Segments(batch.cu_seqlens, batch.bounds), causal=True))
        out: torch.Tensor = self.language(self.embed(batch, visual), batch.positions, attention)
        return out

    def auxiliary_loss(self, batch: PackedBatch) -> torch.Tensor | None:
        """How far the guided heads were from where they should look."""
        return self.guide.loss(batch) if self.guide and self.training else None

    def guide_attention(self, tokenizer: Tokenizer, weight: float) -> None:
        """Tell heads where to look from now on, with this weight; 0 leaves them alone."""
        language = self.config.language
        self.guide = Guide(language, tokenizer, self.vocabulary, list(self.sizes), weight) if weight else None

    @torch.no_grad()
    def start_from_words(self, tokenizer: Tokenizer, *, seed: int = 0) -> None:
        """Begin each attribute at the embedding of its word, and each coordinate at the code of its number.

        The four coordinates lie in directions of their own. The decoder has to learn where to look, not what a word
        that it knows from text is called in a picture.
        """
        embedding = self.language.embed_tokens.weight
        table = self.attributes["table"].weight
        assert isinstance(table, torch.Tensor)
        directions = number_directions(embedding.shape[1], seed=seed)
        length = float(embedding.norm(dim=1).mean()) / 3  # a cell adds up four patches of several attributes
        boxes = directions[CODE_SIZE : 5 * CODE_SIZE]
        rows = []
        for name, size in self.sizes.items():
            if (word := name.removeprefix(CENTRE)) in self.vocabulary:
                values = ["" if value == "none" else f" {value}" for value in self.vocabulary[word]]
                block = torch.stack([embedding[tokenizer.encode(value)].sum(0) for value in values]) / 3
                block = block - block @ boxes.T @ boxes  # a box is read exactly where no word lies across it
                if name != word:  # louder than the thing's other patches, and nothing where there is no centre
                    block = torch.cat([torch.zeros_like(block[:1]), 2 * block])
            elif name.startswith("box") and len(directions) >= 5 * CODE_SIZE:
                first = CODE_SIZE * (1 + int(name[3]))
                block = length * number_code(torch.arange(size)) @ directions[first : first + CODE_SIZE]
            else:
                block = table[:size].clone()
                block[0] = 0.0  # no centre, no character
            rows.append(block)
        start = torch.cat(rows)
        unit = self.config.vision.merge_unit
        table[:-1] = _LOUDNESS * (start.repeat(unit, 1) + 0.3 * table[:-1])
        start_with_number_readers(self.language, 4, layer=len(self.language.layers) // 2, seed=seed)
