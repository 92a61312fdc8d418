"""Clips to frames: sampled at 2 frames a second, an even number of them, with their true times.

Animated PNG, WebP and GIF are read with PIL; other containers (MP4, WebM, …) with PyAV, an extra:
``pip install 'mimovl[video]'``. Which frames and how large is decided in ``data/video_sampling``.

Departs from the published code where frames last unequally (screen recordings, and animations, whose writers merge
equal neighbours): a sample is the frame shown at that time, so seconds stay true and a still stretch keeps its length.
A long film is decoded from the keyframe before each sample, and a frame is shrunk as it is read: besides the file, no
more than the kept frames are ever in memory.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from PIL import Image

from mimovl.data.clip_header import UNTIMED_FPS, Timing, is_animation, open_container, timing
from mimovl.data.video_sampling import VideoSettings, sample_times
from mimovl.errors import MediaError
from mimovl.picture import MAX_HEADER_PIXELS, as_file, decoding, opened, to_rgb

__all__ = ["Clip", "open_video"]

Fit = Callable[[int, int, int], tuple[int, int]]
MAX_ANIMATION_PIXELS = 3 * MAX_HEADER_PIXELS
"""Pixels of all frames of an animation together (1.6 GB decoded); other containers are read frame by frame."""
CLOCK_TOLERANCE = 1e-3
"""Seconds by which a frame may begin late: containers round starts to their own clock."""
_TURNS = {
    (True, False): Image.Transpose.FLIP_LEFT_RIGHT,
    (False, True): Image.Transpose.FLIP_TOP_BOTTOM,
    (True, True): Image.Transpose.ROTATE_180,
}
_TRANSPOSED = {
    (False, False): Image.Transpose.TRANSPOSE,
    (False, True): Image.Transpose.ROTATE_270,
    (True, False): Image.Transpose.ROTATE_90,
    (True, True): Image.Transpose.TRANSVERSE,
}
"""How a frame is shown, by which numbers of its display matrix are negative (PIL turns counterclockwise)."""
WORTH_A_SEEK = 4
"""Frames to the next keyframe from which on it is jumped to."""


@dataclass(frozen=True)
class Clip:
    """Frames in order, when each of them is shown, and how many make a second."""

    frames: list[Image.Image]
    fps: float
    times: tuple[float, ...] = ()
    """Seconds after the clip's first frame, of each frame."""

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.frames) / self.fps


def open_video(
    source: bytes | BinaryIO,
    settings: VideoSettings | None = None,
    *,
    name: str = "video",
    seconds: float | None = None,
    fit: Fit | None = None,
) -> Clip:
    """Decode and sample a clip.

    Args:
        source: the file's bytes, or a file open for reading.
        settings: target rate and bounds.
        name: used in errors.
        seconds: how long it lasts, used where the file does not say (PIL stores a clip in which nothing changes as
            a still picture).
        fit: from height, width and number of kept frames to the height and width they are resized to as they are
            read; without it a long film at full size may not fit into memory.

    Returns:
        The kept frames, RGB, with their times and the rate at which they were kept.

    Raises:
        MediaError: empty, corrupt, too large, or without frames.
        MissingExtraError: the container needs PyAV and it is not installed.
    """
    settings = settings or VideoSettings()
    file = as_file(source)
    start = file.read(12)
    if not start:
        raise MediaError(f"{name}: the file is empty", reason="empty_file")
    if is_animation(start):
        return _open_animation(file, settings, name, seconds, fit)
    return _open_container(file, settings, name, seconds, fit)


def _shown(starts: Sequence[float], time: float) -> int:
    """The frame shown at a time."""
    return max(0, bisect_right(starts, time + CLOCK_TOLERANCE) - 1)


def _open_animation(file: BinaryIO, settings: VideoSettings, name: str, seconds: float | None, fit: Fit | None) -> Clip:
    """An animated PNG, WebP or GIF."""
    frames: list[Image.Image] = []
    starts: list[float] = []
    clock = 0.0
    with decoding(name, "the clip is damaged", "corrupt_video"):
        image = opened(file, name)
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
    chosen = sample_times(len(frames), clock, settings)
    shown = [_shown(starts, time) for time in chosen.times]
    fitted = {number: _fitted(frames[number], len(shown), fit) for number in set(shown)}
    return Clip([fitted[number] for number in shown], chosen.fps, chosen.times)


def _open_container(file: BinaryIO, settings: VideoSettings, name: str, seconds: float | None, fit: Fit | None) -> Clip:
    """The first video stream of a container: timed from its packets, then decoded where it is sampled."""
    with open_container(file, name) as container:
        found = timing(container, name, seconds)
    if not found.starts:
        raise MediaError(f"{name}: the clip has no frames", reason="empty_video")
    chosen = sample_times(len(found.starts), found.duration, settings)
    wanted = [_shown(found.starts, time) for time in chosen.times]
    counts = Counter(wanted)
    frames: list[Image.Image] = []
    with open_container(file, name) as container:
        for number, frame in _frames(container, found, list(counts)):
            frames += [_fitted(_upright(frame), len(wanted), fit)] * counts[number]
    if not frames:
        raise MediaError(f"{name}: the clip has no frames", reason="empty_video")
    frames += frames[-1:] * (len(wanted) - len(frames))  # the last of a file may not come out of the decoder
    return Clip(frames, chosen.fps, chosen.times)


def _frames(container: Any, found: Timing, wanted: Sequence[int]) -> Iterator[tuple[int, Any]]:
    """Decoded frames of the ascending numbers ``wanted``, each with its number."""
    decoded = container.decode(video=0)
    if not found.stamps:
        numbers = set(wanted)
        yield from ((number, frame) for number, frame in enumerate(decoded) if number in numbers)
        return
    stream, place, jumps = container.streams.video[0], 0, True
    for number in wanted:
        key = found.keys[max(0, bisect_right(found.keys, number) - 1)] if found.keys else 0
        jumped = jumps and key - place >= WORTH_A_SEEK
        if jumped:
            container.seek(found.stamps[key], stream=stream)
            decoded = container.decode(video=0)
        frame = _first_from(decoded, found.stamps[number])
        if jumped and (frame is None or frame.pts != found.stamps[number]):
            jumps = False  # its index is not to be trusted: from the beginning, without jumps
            container.seek(found.stamps[0], stream=stream)
            decoded = container.decode(video=0)
            frame = _first_from(decoded, found.stamps[number])
        if frame is None:
            return
        place = number + 1
        yield number, frame


def _first_from(decoded: Iterator[Any], stamp: int) -> Any | None:
    """The first frame shown at ``stamp`` or later."""
    return next((frame for frame in decoded if frame.pts is None or frame.pts >= stamp), None)


def _fitted(picture: Image.Image, count: int, fit: Fit | None) -> Image.Image:
    """A kept frame in the size ``fit`` gives it."""
    if fit is None or (size := fit(picture.height, picture.width, count)) == (picture.height, picture.width):
        return picture
    return picture.resize(size[::-1], Image.Resampling.BICUBIC)


def _upright(frame: Any) -> Image.Image:
    """A decoded frame as RGB, turned and mirrored as its display matrix says, to the nearest right angle."""
    picture: Image.Image = frame.to_image()
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return picture
    # A point (x, y), y down, is shown at (a·x + c·y, b·x + d·y); ISO 14496-12 §6.2.2.
    a, b, _, c, d = struct.unpack("=5i", bytes(matrix)[:20])
    turn = _TURNS.get((a < 0, d < 0)) if abs(a) + abs(d) >= abs(b) + abs(c) else _TRANSPOSED[b < 0, c < 0]
    return picture if turn is None else picture.transpose(turn)
