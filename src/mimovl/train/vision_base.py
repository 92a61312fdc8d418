"""A starting vision tower: dense attribute prediction with a throwaway head.

The published recipe starts from a trained Qwen2.5-ViT; the tiny recipe has to make its own. Each 14-pixel patch
predicts what lies on it: the kind, shape, colour, size or label of the element that covers most of it, the element's
box in pixels, whether the element's centre is here and which colour and shape that has (a heat map by class: Zhou et
al., 2019), and the characters whose centre it holds. A coordinate is predicted as a number code
(``model/numbers.py``), the form in which a decoder reads it. The linear heads are thrown away; what stays is a tower
whose features hold those answers where a projector can read them.

Legend: P patches, C vision hidden size, W values of a number code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from mimovl.model import CODE_SIZE, number_code
from mimovl.types import IGNORE_INDEX

__all__ = ["CENTRE", "AttributeHead", "PatchTargets", "Region", "patch_targets", "target_sizes"]

PATCH = 14
MAX_COORDINATE = 172
"""Largest coordinate in pixels; a class each."""
CLOSE = 2
"""Pixels a predicted coordinate may be off to be called right in the log."""
_SHARPNESS = 8.0
"""Scale of the match between a predicted code and those of all coordinates."""
_COORDINATE_WEIGHT = 0.5
"""Weight of a coordinate's loss: telling pixels apart is hard, and must not drown what comes first."""
CENTRE = "centre_"
"""Prefix of an attribute that only the patch with an element's centre has; class 0 is none."""
MAX_CHARACTERS = 3
CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"


@dataclass(frozen=True)
class Region:
    """An annotated box of one frame: pixels x1, y1, x2, y2 and its attributes."""

    box: tuple[float, float, float, float]
    attributes: Mapping[str, str]


@dataclass
class PatchTargets:
    """Class of every patch for every head, ``IGNORE_INDEX`` where a head has no say."""

    classes: dict[str, torch.Tensor]
    """Head name to shape (P,)."""

    @staticmethod
    def concatenate(parts: Sequence[PatchTargets]) -> PatchTargets:
        """Targets of several pictures end to end."""
        return PatchTargets({name: torch.cat([p.classes[name] for p in parts]) for name in parts[0].classes})

    def to(self, device: torch.device) -> PatchTargets:
        """On a device."""
        return PatchTargets({name: classes.to(device) for name, classes in self.classes.items()})


def patch_targets(
    frames: Iterable[Sequence[Region]],
    rows: int,
    columns: int,
    vocabulary: Mapping[str, Sequence[str]],
) -> PatchTargets:
    """What each patch of a picture, or of each frame pair of a clip, should predict.

    Args:
        frames: annotated regions of each frame pair.
        rows: patches in a column of the frame.
        columns: patches in a row of the frame.
        vocabulary: attribute name to its values; ``kind`` has "none" for background.

    Returns:
        Targets in merge order (2×2 neighbours together), frame after frame.
    """
    per_frame = [_frame_targets(regions, rows, columns, vocabulary) for regions in frames]
    order = torch.arange(rows * columns).view(rows // 2, 2, columns // 2, 2).transpose(1, 2).reshape(-1)
    names = per_frame[0]
    return PatchTargets({name: torch.cat([frame[name][order] for frame in per_frame]) for name in names})


def _frame_targets(
    regions: Sequence[Region], rows: int, columns: int, vocabulary: Mapping[str, Sequence[str]]
) -> dict[str, torch.Tensor]:
    count = rows * columns
    targets = {name: torch.full((count,), IGNORE_INDEX) for name in vocabulary}
    targets["kind"].fill_(list(vocabulary["kind"]).index("none"))
    targets.update({f"box{side}": torch.full((count,), IGNORE_INDEX) for side in range(4)})
    targets["centre"] = torch.zeros(count, dtype=torch.long)
    targets.update({f"{CENTRE}{name}": torch.zeros(count, dtype=torch.long) for name in _at_centre(vocabulary)})
    targets.update({f"char{n}": torch.zeros(count, dtype=torch.long) for n in range(MAX_CHARACTERS)})
    elements = [region for region in regions if region.attributes.get("kind") != "char"]
    if elements:
        boxes = torch.tensor([region.box for region in elements])
        left = torch.arange(columns).repeat(rows)[:, None] * PATCH
        top = torch.arange(rows).repeat_interleave(columns)[:, None] * PATCH
        width = (torch.minimum(boxes[:, 2], left + PATCH) - torch.maximum(boxes[:, 0], left)).clamp(min=0)
        height = (torch.minimum(boxes[:, 3], top + PATCH) - torch.maximum(boxes[:, 1], top)).clamp(min=0)
        overlap, best = (width * height).max(dim=1)
        covered = (overlap >= 16).nonzero().flatten()
        chosen = best[covered]
        for name, values in vocabulary.items():
            index = {value: number for number, value in enumerate(values)}
            classes = torch.tensor([index.get(element.attributes.get(name, ""), IGNORE_INDEX) for element in elements])
            targets[name][covered] = classes[chosen]
        pixels = boxes.round().long().clamp(0, MAX_COORDINATE)
        for side in range(4):
            targets[f"box{side}"][covered] = pixels[chosen, side]
        for element, (x1, y1, x2, y2) in zip(elements, boxes.tolist(), strict=True):
            row, column = int((y1 + y2) / 2 // PATCH), int((x1 + x2) / 2 // PATCH)
            patch = min(rows - 1, row) * columns + min(columns - 1, column)
            targets["centre"][patch] = 1
            for name in _at_centre(vocabulary):
                if value := element.attributes.get(name):
                    targets[f"{CENTRE}{name}"][patch] = 1 + list(vocabulary[name]).index(value)
    letters: dict[int, list[tuple[float, int]]] = {}
    for region in regions:
        if region.attributes.get("kind") == "char":
            x1, y1, x2, y2 = region.box
            place = CHARACTERS.find(region.attributes["text"])
            row, column = int((y1 + y2) / 2 // PATCH), int((x1 + x2) / 2 // PATCH)
            if place >= 0 and row < rows and column < columns:
                letters.setdefault(row * columns + column, []).append((x1, place + 1))
    for patch, found in letters.items():
        for number, (_, letter) in enumerate(sorted(found)[:MAX_CHARACTERS]):
            targets[f"char{number}"][patch] = letter
    return targets


def _at_centre(vocabulary: Mapping[str, Sequence[str]]) -> list[str]:
    """The attributes of what is counted."""
    return [name for name in ("shape", "colour") if name in vocabulary]


def target_sizes(vocabulary: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Number of classes of each attribute a patch is asked for, in a fixed order."""
    sizes = {name: len(values) for name, values in vocabulary.items()}
    sizes |= {f"box{side}": MAX_COORDINATE + 1 for side in range(4)} | {"centre": 2}
    sizes |= {f"{CENTRE}{name}": 1 + len(vocabulary[name]) for name in _at_centre(vocabulary)}
    return sizes | {f"char{n}": len(CHARACTERS) + 1 for n in range(MAX_CHARACTERS)}


class AttributeHead(nn.Module):
    """Linear heads over patch features; thrown away after training."""

    def __init__(self, hidden_size: int, vocabulary: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(hidden_size, eps=1e-6)
        sizes = target_sizes(vocabulary)
        self.names = list(sizes)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(hidden_size, CODE_SIZE if _is_coordinate(name) else size) for name, size in sizes.items()}
        )
        self.register_buffer("codes", _SHARPNESS * number_code(torch.arange(MAX_COORDINATE + 1)), persistent=False)

    def forward(self, features_PC: torch.Tensor, targets: PatchTargets) -> tuple[torch.Tensor, dict[str, float]]:
        """Weighted mean loss over heads, and each one's accuracy where it has a say (coordinates: within ``CLOSE``)."""
        x = self.norm(features_PC.float())
        names: list[str] = []
        losses, counts = [], []
        for name in self.names:
            where = (targets.classes[name] != IGNORE_INDEX).nonzero().flatten()
            if not len(where):
                continue
            logits, wanted = self._logits(name, x[where]), targets.classes[name][where]
            weight = _COORDINATE_WEIGHT if _is_coordinate(name) else 1.0
            losses.append(weight * F.cross_entropy(logits, wanted))
            scored = (
                wanted > 0 if name.startswith(("char", "centre", "kind")) else torch.ones_like(wanted, dtype=torch.bool)
            )
            close = (logits.argmax(-1) - wanted).abs() <= (CLOSE if _is_coordinate(name) else 0)
            names.append(name)
            counts.append(torch.stack([(close & scored).sum(), scored.sum()]))
        # Read once for all heads: each reading waits for the device.
        read = zip(names, torch.stack(counts).tolist(), strict=True)
        return torch.stack(losses).mean(), {name: right / scored for name, (right, scored) in read if scored}

    def _logits(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """Logits of one attribute's classes."""
        out: torch.Tensor = self.heads[name](x)
        if not _is_coordinate(name):
            return out
        assert isinstance(self.codes, torch.Tensor)
        return out @ self.codes.T


def _is_coordinate(name: str) -> bool:
    return name.startswith("box")
