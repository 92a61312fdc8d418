"""Which frames of a clip are looked at and how large they are: Qwen2.5-VL's rule in MiMo-VL's numbers, pure arithmetic.

2 frames a second, an even number between 4 and 256 of them, 16,384 visual tokens for the whole clip, each frame
between 128 · 28² and 768 · 28² pixels (MiMo-VL §4.1 and its demo code). Count, indices and sizes are those of
``qwen-vl-utils`` 0.0.14 (``smart_nframes``, ``fetch_video``), with two departures:

- **The budget of tokens holds.** Theirs lets a frame keep its smallest size, and 5 % more, when the budget is spent:
  256 frames of 320×240 pixels then take 17,920 tokens. Here such frames shrink further.
- **The clock is that of the frames taken.** Their first and last frame are the clip's first and last, a little further
  apart than the rate they report. At 2 frames a second the integer positions of both clocks are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from mimovl.data.image import smart_resize
from mimovl.errors import DataError

__all__ = ["MIMO_VL_VIDEO", "Sampling", "VideoSettings", "clip_size", "sample_frames", "sample_times"]

_TOLERANCE = 1e-6
"""A whole number of frames may arrive as one less and a fraction, from the division by a rate."""


@dataclass(frozen=True, kw_only=True)
class VideoSettings:
    """How clips are sampled and sized."""

    fps: float = 2.0
    """Frames sampled a second."""
    min_frames: int = 4
    max_frames: int = 256
    min_pixels: int = 4 * 28 * 28
    """Smallest frame in pixels. Ours: the demo code of MiMo-VL asks 128 · 28², too many for the tiny preset."""
    max_pixels: int = 768 * 28 * 28
    """Largest frame in pixels (MiMo-VL demo code)."""
    max_tokens: int = 16_384
    """Visual tokens of a whole clip (MiMo-VL §4.1); frames shrink to fit."""
    spacing: Literal["steps", "ends"] = "steps"
    """``ends``: from the first frame to the last (qwen-vl-utils). ``steps``: a frame at every whole step of time from 0
    on (the video processor of ``transformers``). The same where every frame is kept."""


MIMO_VL_VIDEO = VideoSettings(min_pixels=128 * 28 * 28, spacing="ends")
"""What MiMo-VL's demo code does; for checkpoints whose files say nothing of clips."""


@dataclass(frozen=True)
class Sampling:
    """When to look at a clip, in seconds after its first frame, and how many looks make a second."""

    times: tuple[float, ...]
    fps: float


def sample_frames(num_frames: int, fps: float, settings: VideoSettings, temporal_patch_size: int = 2) -> list[int]:
    """Which frames of a clip to keep: uniformly spaced, at ``settings.fps``, an even number of them.

    Args:
        num_frames: frames in the file.
        fps: its frame rate.
        settings: target rate and bounds.
        temporal_patch_size: frames that make one patch.

    Returns:
        Indices in order; fewer than ``min_frames`` only if the clip has no more.
    """
    ceiling = min(settings.max_frames, num_frames) // temporal_patch_size * temporal_patch_size
    least = -(-settings.min_frames // temporal_patch_size) * temporal_patch_size
    wanted = min(max(num_frames / fps * settings.fps, least), ceiling, num_frames)
    kept = int(wanted + _TOLERANCE) // temporal_patch_size * temporal_patch_size
    if kept == 0:
        return list(range(num_frames))
    if settings.spacing == "ends":
        return [int(index) for index in torch.linspace(0, num_frames - 1, kept).round().long()]
    return [number * num_frames // kept for number in range(kept)]


def sample_times(num_frames: int, duration: float, settings: VideoSettings) -> Sampling:
    """When to look at a clip of so many frames and seconds.

    Frames of equal length are chosen as :func:`sample_frames` does. A clip with fewer of them than its length asks
    for is sampled by its length: its frames are long, not few.
    """
    nominal = max(num_frames, int(duration * settings.fps + _TOLERANCE))
    chosen = sample_frames(nominal, nominal / duration, settings)
    times = tuple(index * duration / nominal for index in chosen)
    if settings.spacing == "ends" and 1 < len(chosen) < nominal:
        return Sampling(times, (len(chosen) - 1) / (times[-1] - times[0]))
    return Sampling(times, len(chosen) / duration)


def clip_size(
    height: int,
    width: int,
    num_frames: int,
    settings: VideoSettings,
    *,
    factor: int = 28,
    temporal_patch_size: int = 2,
) -> tuple[int, int]:
    """The size every kept frame is given: within the bounds of a frame, and of all frames together.

    Args:
        height: of a frame as shown, in pixels.
        width: of a frame as shown, in pixels.
        num_frames: frames kept.
        settings: bounds of a frame and of the clip.
        factor: sides are multiples of this.
        temporal_patch_size: frames that share a visual token.

    Returns:
        Height and width in pixels; ``ceil(num_frames / 2) · (height / 28) · (width / 28)`` is at most ``max_tokens``.

    Raises:
        DataError: the clip has more frame pairs than ``max_tokens``.
        MediaError: the frames have no area, or one side is more than 200 times the other.
    """
    pairs = -(-num_frames // temporal_patch_size)
    if pairs > settings.max_tokens:
        raise DataError(
            f"{num_frames} frames are {pairs} pairs of at least one visual token, max_tokens is {settings.max_tokens}; "
            "lower max_frames or raise max_tokens"
        )
    budget = settings.max_tokens * factor**2 / pairs
    most = max(min(settings.max_pixels, budget), int(settings.min_pixels * 1.05))
    size = _resized(height, width, factor, settings.min_pixels, most)
    if size[0] * size[1] > budget:
        size = _within(_resized(height, width, factor, factor**2, budget), budget, factor)
    return size


def _resized(height: int, width: int, factor: int, least: float, most: float) -> tuple[int, int]:
    return smart_resize(height, width, factor=factor, min_pixels=least, max_pixels=most)


def _within(size: Sequence[int], budget: float, factor: int) -> tuple[int, int]:
    """The same frame with its longer side cut down to the budget: a very long one is never thinner than ``factor``."""
    short = min(size)
    long = min(max(size), int(budget) // short // factor * factor)
    return (short, long) if size[0] == short else (long, short)
