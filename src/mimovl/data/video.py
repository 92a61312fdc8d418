"""Clips to frames: sampled at 2 frames a second, a multiple of two of them, with their true time step.

Animated PNG, WebP and GIF are read with PIL; other containers (MP4, WebM, …) with PyAV, an extra:
``pip install 'mimovl[video]'``. Sampling follows Qwen2.5-VL's reference: 2 FPS, 4 to 256 frames (MiMo-VL §4.1).

Departs from it where frames last unequally (screen recordings, and animations, whose writers merge equal
neighbours): a sample is the frame shown at that time, so seconds stay true and a still stretch keeps its length.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from mimovl.data.image import MAX_HEADER_PIXELS, decoding, opened, to_rgb
from mimovl.errors import MediaError, MissingExtraError

__all__ = ["Clip", "VideoSettings", "open_video", "sample_frames"]

Fit = Callable[[int, int, int], tuple[int, int]]
MAX_ANIMATION_PIXELS = 3 * MAX_HEADER_PIXELS
"""Pixels of all frames of an animation together (1.6 GB decoded); other containers are read frame by frame."""
CLOCK_TOLERANCE = 1e-3
"""Seconds by which a frame may begin late: containers round starts to their own clock."""
UNTIMED_FPS = 2.0
"""Rate of a clip that does not say how long it lasts."""


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
        """How long it lasts."""
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
    # A whole number of frames may arrive as one less and a fraction, from the division by a rate.
    kept = int(wanted + 1e-6) // temporal_patch_size * temporal_patch_size
    if kept == 0:
        return list(range(num_frames))
    return [number * num_frames // kept for number in range(kept)]


def open_video(
    data: bytes,
    settings: VideoSettings | None = None,
    *,
    name: str = "video",
    seconds: float | None = None,
    fit: Fit | None = None,
) -> Clip:
    """Decode and sample a clip.

    Args:
        data: the file.
        settings: target rate and bounds.
        name: used in errors.
        seconds: how long it lasts, used where the file does not say (PIL stores a clip in which nothing changes as
            a still picture).
        fit: from height, width and number of kept frames to the height and width they are resized to as they are
            read; without it a long film at full size may not fit into memory.

    Returns:
        The kept frames, RGB, with the rate at which they were kept.

    Raises:
        MediaError: empty, corrupt, too large, or without frames.
        MissingExtraError: the container needs PyAV and it is not installed.
    """
    settings = settings or VideoSettings()
    if not data:
        raise MediaError(f"{name}: the file is empty", reason="empty_file")
    if data[:8] == b"\x89PNG\r\n\x1a\n" or data[:4] == b"GIF8" or (data[:4] == b"RIFF" and data[8:12] == b"WEBP"):
        return _open_animation(data, settings, name, seconds, fit)
    return _open_container(data, settings, name, seconds, fit)


def _sample_times(starts: Sequence[float], duration: float, settings: VideoSettings) -> list[float]:
    """When to look at a clip whose frames begin at ``starts``, all in seconds.

    Frames of equal length are chosen as :func:`sample_frames` does. A clip with fewer of them than its length asks
    for is sampled by its length: its frames are long, not few.
    """
    nominal = max(len(starts), int(duration * settings.fps + 1e-6))
    return [index * duration / nominal for index in sample_frames(nominal, nominal / duration, settings)]


def _shown(starts: Sequence[float], time: float) -> int:
    """The frame shown at a time."""
    return max(0, bisect_right(starts, time + CLOCK_TOLERANCE) - 1)


def _open_animation(data: bytes, settings: VideoSettings, name: str, seconds: float | None, fit: Fit | None) -> Clip:
    """An animated PNG, WebP or GIF."""
    frames: list[Image.Image] = []
    starts: list[float] = []
    clock = 0.0
    with decoding(name, "the clip is damaged", "corrupt_video"):
        image = opened(data, name)
        count = getattr(image, "n_frames", 1)
        if image.width * image.height * count > MAX_ANIMATION_PIXELS:
            raise MediaError(
                f"{name}: {count} frames of {image.width}×{image.height} are {image.width * image.height * count:,} "
                f"pixels, the limit of an animation is {MAX_ANIMATION_PIXELS:,}; store it as MP4",
                reason="too_many_pixels",
            )
        for number in range(1 if getattr(image, "default_image", False) and count > 1 else 0, count):
            image.seek(number)
            image.load()  # WebP knows a frame's duration only then
            frames.append(to_rgb(image))
            starts.append(clock)
            clock += float(image.info.get("duration") or 0) / 1000
    if clock <= 0:
        clock = seconds or len(frames) / UNTIMED_FPS
        starts = [number * clock / len(frames) for number in range(len(frames))]
    times = _sample_times(starts, clock, settings)
    shown = [_shown(starts, time) for time in times]
    fitted = {number: _fitted(frames[number], len(times), fit) for number in set(shown)}
    return Clip([fitted[number] for number in shown], len(times) / clock)


def _open_container(data: bytes, settings: VideoSettings, name: str, seconds: float | None, fit: Fit | None) -> Clip:
    """The first video stream of a container: timed from its packets, then decoded once, keeping sampled frames only."""
    try:
        import av
    except ImportError:
        raise MissingExtraError("PyAV", "video", f"reading {name}") from None
    with decoding(name, "not a clip PyAV can read", "corrupt_video"):
        with av.open(io.BytesIO(data), mode="r") as container:
            if not container.streams.video:
                raise MediaError(f"{name}: the file has no video stream", reason="empty_video")
            stream = container.streams.video[0]
            if stream.width * stream.height > MAX_HEADER_PIXELS:
                raise MediaError(
                    f"{name}: its header claims frames of {stream.width}×{stream.height}, the limit is "
                    f"{MAX_HEADER_PIXELS:,} pixels; not decoded",
                    reason="too_many_pixels",
                )
            packets = [packet for packet in container.demux(stream) if packet.size]
            starts, duration, origin = _timing(packets, stream, seconds)
        times = _sample_times(starts, duration, settings) if starts else []
        with av.open(io.BytesIO(data), mode="r") as container:
            decoded: Iterator[Any] = container.decode(video=0)
            timed = (
                (starts[min(number, len(starts) - 1)] if frame.time is None else frame.time - origin, frame)
                for number, frame in enumerate(decoded)
            )
            frames = list(_pick(timed, times, fit))
    if not frames:
        raise MediaError(f"{name}: the clip has no frames", reason="empty_video")
    return Clip(frames, len(frames) / duration)


def _timing(packets: Sequence[Any], stream: Any, seconds: float | None) -> tuple[list[float], float, float]:
    """When each frame begins (in seconds after the first), how long the stream lasts, and the time of the first."""
    rate = float(stream.average_rate or 0) or (len(packets) / seconds if seconds else UNTIMED_FPS)
    timed = sorted((packet for packet in packets if packet.pts is not None), key=lambda packet: packet.pts)
    if len(timed) < len(packets) or not packets:
        return [number / rate for number in range(len(packets))], len(packets) / rate, 0.0
    base = float(stream.time_base)
    origin = timed[0].pts * base
    starts = [packet.pts * base - origin for packet in timed]
    last = timed[-1].duration
    return starts, starts[-1] + (last * base if last else 1 / rate), origin


def _pick(timed: Iterable[tuple[float, Any]], times: Sequence[float], fit: Fit | None) -> Iterator[Image.Image]:
    """The frame shown at each of the ascending ``times``, upright; ``timed`` gives frames with their start."""
    shown: Any = None
    picture: Image.Image | None = None
    place = 0
    for start, frame in timed:
        while shown is not None and place < len(times) and start > times[place] + CLOCK_TOLERANCE:
            picture = picture or _fitted(_upright(shown), len(times), fit)
            yield picture
            place += 1
        if place == len(times):
            return
        shown, picture = frame, None
    if shown is not None:
        picture = _fitted(_upright(shown), len(times), fit)
        yield from [picture] * (len(times) - place)


def _fitted(picture: Image.Image, count: int, fit: Fit | None) -> Image.Image:
    """A kept frame in the size ``fit`` gives it."""
    if fit is None or (size := fit(picture.height, picture.width, count)) == (picture.height, picture.width):
        return picture
    return picture.resize(size[::-1], Image.Resampling.BICUBIC)


def _upright(frame: Any) -> Image.Image:
    """A decoded frame as RGB, turned as its display matrix says."""
    picture: Image.Image = frame.to_image()
    return picture.rotate(frame.rotation, expand=True) if frame.rotation else picture
