"""Multimodal rotary positions (MRoPE) of one sample, with absolute time for video (MiMo-VL §2.1, Qwen2.5-VL §2.1).

    text     the same number on all three axes, counting on
    picture  time 0, row, column of the merged grid, from where the text stopped
    video    time = floor(frame pair · seconds per pair · tokens per second), row, column

Text behind a picture or clip continues after the largest position it used; see ``TextAfterVideo`` for the one place
where libraries differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mimovl.model.config import ModelConfig

__all__ = ["VisualSpan", "mrope_positions"]


@dataclass(frozen=True)
class VisualSpan:
    """One picture or clip within a token sequence."""

    start: int
    """Index of its first visual token."""
    grid_thw: tuple[int, int, int]
    """Patch grid: frame pairs, rows, columns."""
    seconds_per_pair: float = 0.0
    """Seconds between frame pairs of a clip; 0 for a picture."""

    def num_tokens(self, merge_unit: int) -> int:
        """Visual tokens it takes."""
        frames, rows, columns = self.grid_thw
        return frames * rows * columns // merge_unit


def mrope_positions(num_tokens: int, visuals: Sequence[VisualSpan], config: ModelConfig) -> torch.Tensor:
    """Time, height and width position of every token.

    Args:
        num_tokens: length of the sample.
        visuals: its pictures and clips in order.
        config: merge size, tokens per second, and where text continues after a video.

    Returns:
        Shape (3, num_tokens), int64.
    """
    merge = config.vision.spatial_merge_size
    pieces: list[torch.Tensor] = []
    token = 0
    position = 0
    for visual in visuals:
        pieces.append((position + torch.arange(visual.start - token)).expand(3, -1))
        position += visual.start - token
        frames, rows, columns = visual.grid_thw
        rows, columns = rows // merge, columns // merge
        step = visual.seconds_per_pair * config.vision.tokens_per_second
        times = (torch.arange(frames) * step).long()
        grid = torch.meshgrid(times, torch.arange(rows), torch.arange(columns), indexing="ij")
        pieces.append(position + torch.stack(grid).reshape(3, -1))
        spatial = max(rows, columns)
        position += spatial if config.text_after_video == "spatial" else max(spatial, int(times[-1]) + 1)
        token = visual.start + frames * rows * columns
    pieces.append((position + torch.arange(num_tokens - token)).expand(3, -1))
    return torch.cat(pieces, dim=1)
