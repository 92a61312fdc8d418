"""The language model's view of a picture before there is a vision tower: its attributes, patch by patch.

The vision tower's base learns to tell what lies on each patch, with linear heads that are thrown away. This is the
other half: the same attributes, as an embedding that is thrown away too, stand at the picture's places in the prompt,
so the decoder learns to read a picture (find, count, box) without one. What remains for the stages of a run is what
they are for: a projector from the one to the other.

Legend: P patches, A attributes of a patch, E language hidden size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from mimovl.curate.world import WorldItem
from mimovl.data import Processor
from mimovl.model import ModelConfig, VisionLanguageModel
from mimovl.train.vision_base import PATCH, Region, patch_targets, target_sizes
from mimovl.types import IGNORE_INDEX, Media, Sample

__all__ = ["AttributeModel", "AttributeProcessor", "attribute_classes", "with_attributes"]


def attribute_classes(item: WorldItem, vocabulary: dict[str, tuple[str, ...]]) -> tuple[np.ndarray, int, int]:
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
    stacked = torch.stack([targets[name] for name in target_sizes(vocabulary)], dim=1)
    return stacked.numpy().astype(np.int16), rows, columns


def with_attributes(sample: Sample, item: WorldItem, vocabulary: dict[str, tuple[str, ...]]) -> Sample:
    """The sample with its picture's pixels replaced by attribute classes; only :class:`AttributeProcessor` reads it."""
    if not sample.media or item.document:
        return sample
    classes, _, _ = attribute_classes(item, vocabulary)
    [(key, media)] = sample.media.items()
    return replace(sample, media={key: replace(media, data=classes.tobytes())})


@dataclass(frozen=True)
class AttributeProcessor(Processor):
    """A processor whose pictures are attribute classes."""

    num_attributes: int = 0

    def visual(self, media: Media, *, name: str) -> tuple[torch.Tensor, tuple[int, int, int], float]:
        """Classes of every patch as float32, shape (P, A); the patch grid; seconds between frame pairs."""
        classes = np.frombuffer(media.data, dtype=np.int16).reshape(-1, self.num_attributes)
        rows, columns = media.height // PATCH, media.width // PATCH
        seconds = self.image.temporal_patch_size / media.fps if media.kind == "video" else 0.0
        grid = (len(classes) // (rows * columns), rows, columns)
        return torch.from_numpy(classes.astype(np.float32)), grid, seconds


class AttributeModel(VisionLanguageModel):
    """The decoder behind an embedding of attributes in the place of tower and projector.

    Args:
        config: of the whole model; tower and projector are there, untouched, so that checkpoints are whole.
        vocabulary: attribute name to its values.
    """

    def __init__(self, config: ModelConfig, vocabulary: dict[str, tuple[str, ...]]) -> None:
        super().__init__(config)
        sizes = list(target_sizes(vocabulary).values())
        unit = config.vision.merge_unit
        # One table for every attribute of every patch of a merged cell: (cell place, attribute, class) → row.
        starts = torch.tensor([0, *sizes]).cumsum(0)
        self.register_buffer(
            "starts", starts[:-1][None, :] + torch.arange(unit)[:, None] * starts[-1], persistent=False
        )
        self.attributes = nn.EmbeddingBag(
            int(starts[-1]) * unit + 1, config.language.hidden_size, mode="sum", padding_idx=int(starts[-1]) * unit
        )
        nn.init.normal_(self.attributes.weight, std=0.1)

    def encode(self, patches: torch.Tensor, grid_thw: torch.Tensor) -> torch.Tensor:
        """Summed attribute embeddings of each merged cell, shape (P / 4, E)."""
        unit = self.config.vision.merge_unit
        classes = patches.long().view(-1, unit, patches.shape[1])
        starts = self.starts
        assert isinstance(starts, torch.Tensor)
        rows = torch.where(classes == IGNORE_INDEX, self.attributes.num_embeddings - 1, classes + starts)
        out: torch.Tensor = self.attributes(rows.flatten(1))
        return out
