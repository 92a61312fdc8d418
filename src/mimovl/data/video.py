"""Clips to frames: sampled at 2 frames a second, a multiple of two of them, with their true time step.

Animated PNG, WebP and GIF are read with PIL; other containers (MP4, WebM, …) with PyAV, an extra:
``pip install 'mimovl[video]'``. Sampling follows Qwen2.5-VL's reference: 2 FPS, 4 to 256 frames (MiMo-VL §4.1).
"""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image, ImageSequence

from ..errors import MediaError, MissingExtraError
from .image import opened as _opened

__all__ = ["Clip", "VideoSettings", "open_video", "sample_frames"]


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


@dataclass(frozen=True)
class Clip:
    """Frames in order and how many of them make a second."""

    frames: list[Image.Image]
    fps: float

    @property
    def seconds(self) -> float:
        return len(self.frames) / self.fps


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
    wanted = min(max(num_frames / fps * settings.fps, settings.min_frames), ceiling, num_frames)
    kept = int(wanted) // temporal_patch_size * temporal_patch_size
    if kept == 0:
        return list(range(num_frames))
    return [int(number * num_frames / kept) for number in range(kept)]


def open_video(data: bytes, settings: VideoSettings | None = None, *, name: str = "video") -> Clip:
    """Decode and sample a clip.

    Returns:
        The kept frames, RGB, with the rate at which they were kept.

    Raises:
        MediaError: empty, corrupt, or without frames.
        MissingExtraError: the container needs PyAV and it is not installed.
    """
    settings = settings or VideoSettings()
    if not data:
        raise MediaError(f"{name}: the file is empty", reason="empty_file")
    if data[:8] == b"\x89PNG\r\n\x1a\n" or data[:4] in (b"GIF8", b"RIFF"):
        frames, fps = _read_animation(data, name)
    else:
        frames, fps = _read_container(data, name)
    if not frames:
        raise MediaError(f"{name}: the clip has no frames", reason="empty_video")
    kept = sample_frames(len(frames), fps, settings)
    # Frames stand for equal shares of the clip's duration, so its length in seconds is kept exactly.
    return Clip([frames[index] for index in kept], len(kept) / (len(frames) / fps))


def _read_animation(data: bytes, name: str) -> tuple[list[Image.Image], float]:
    """All frames of an animated PNG, WebP or GIF, and their mean rate."""
    image = _opened(data, name)
    frames, milliseconds = [], 0.0
    try:
        for frame in ImageSequence.Iterator(image):
            frames.append(frame.convert("RGB"))
            milliseconds += float(frame.info.get("duration", 0) or 0)
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise MediaError(f"{name}: the clip is damaged ({error})", reason="corrupt_video") from None
    return frames, 1000.0 * len(frames) / milliseconds if milliseconds > 0 else 2.0


def _read_container(data: bytes, name: str) -> tuple[list[Image.Image], float]:
    """All frames of the first video stream."""
    try:
        import av
    except ImportError:
        raise MissingExtraError("PyAV", "video", f"reading {name}") from None
    try:
        with av.open(io.BytesIO(data)) as container:
            stream = container.streams.video[0]
            rate = float(stream.average_rate or 0)
            frames = [frame.to_image() for frame in container.decode(stream)]
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise MediaError(f"{name}: not a clip PyAV can read ({error})", reason="corrupt_video") from None
    return frames, rate if rate > 0 else 2.0
