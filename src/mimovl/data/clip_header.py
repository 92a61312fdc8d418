"""How many frames a clip has, how long it lasts and how large it is, read without decoding one.

    clip_header(bytes or open file)   →   ClipHeader(height, width, num_frames, duration)

Animations: the blocks of a PNG, WebP or GIF are walked. Containers: the index of an MP4, MOV or AVI whose frames last
equally long; else the packets are read, not decoded. Decoding (``data/video``) finds the same numbers, so a token count
made from a header is the real one (tests/data/test_lengths.py).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, BinaryIO

from mimovl.errors import MediaError, MissingExtraError
from mimovl.picture import MAX_HEADER_PIXELS, as_file, decoding, opened, png_chunks

__all__ = ["UNTIMED_FPS", "ClipHeader", "Timing", "clip_header", "is_animation", "open_container", "timing"]

UNTIMED_FPS = 2.0
"""Rate of a clip that does not say how long it lasts."""
_COARSE = 1e-3
"""Seconds of a tick (Matroska, WebM, FLV) by which a whole number of seconds comes out a little short."""
_UNREADABLE = "not a clip PyAV can read"


@dataclass(frozen=True)
class ClipHeader:
    """A clip as its header tells it. A film's sides are those before it is turned: tokens do not depend on that."""

    height: int
    width: int
    num_frames: int
    duration: float
    """Seconds."""


@dataclass(frozen=True)
class Timing:
    """When the frames of a container's video stream are shown."""

    starts: tuple[float, ...]
    """Seconds after the first frame, ascending."""
    duration: float
    stamps: tuple[int, ...] = ()
    """The same on the stream's own clock; empty where its packets have none."""
    keys: tuple[int, ...] = ()
    """Frames, ascending, from which decoding can begin."""


def clip_header(source: bytes | BinaryIO, *, name: str = "video", seconds: float | None = None) -> ClipHeader:
    """Size, frames and seconds of a clip.

    Args:
        source: its bytes, or a file open for reading.
        name: used in errors.
        seconds: how long it lasts, used where the file does not say.

    Raises:
        MediaError: empty, corrupt, too large, or without frames.
        MissingExtraError: the container needs PyAV and it is not installed.
    """
    file = as_file(source)
    start = file.read(12)
    if not start:
        raise MediaError(f"{name}: the file is empty", reason="empty_file")
    if is_animation(start):
        return _animation_header(file, name, seconds)
    with open_container(file, name) as container:
        stream = container.streams.video[0]
        counted = _from_index(stream)
        if counted is None:
            found = timing(container, name, seconds)
            counted = len(found.starts), found.duration
        if not counted[0]:
            raise MediaError(f"{name}: the clip has no frames", reason="empty_video")
        if not stream.width * stream.height:
            raise MediaError(f"{name}: its header gives its frames no size", reason="corrupt_video")
        return ClipHeader(stream.height, stream.width, *counted)


def is_animation(start: bytes) -> bool:
    """Whether a file that begins so is read with PIL."""
    return (
        start[:8] == b"\x89PNG\r\n\x1a\n" or start[:4] == b"GIF8" or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")
    )


# ---------------------------------------------------------------- containers


@contextmanager
def open_container(file: BinaryIO, name: str) -> Iterator[Any]:
    """A PyAV container with a video stream; what PyAV raises inside becomes a ``MediaError``.

    Raises:
        MediaError: unreadable, without video, or of a size no one should decode.
        MissingExtraError: PyAV is not installed.
    """
    try:
        import av
    except ImportError:
        raise MissingExtraError("PyAV", "video", f"reading {name}") from None
    try:
        with decoding(name, _UNREADABLE, "corrupt_video"), av.open(as_file(file), mode="r") as container:
            _check_stream(container, name)
            yield container
    except av.error.MemoryError as error:  # FFmpeg's word for a damaged size, not the machine's
        raise MediaError(f"{name}: {_UNREADABLE} ({error})", reason="corrupt_video") from None


def _check_stream(container: Any, name: str) -> None:
    if not container.streams.video:
        raise MediaError(f"{name}: the file has no video stream", reason="empty_video")
    stream = container.streams.video[0]
    if stream.width * stream.height > MAX_HEADER_PIXELS:
        raise MediaError(
            f"{name}: its header claims frames of {stream.width}×{stream.height}, the limit is "
            f"{MAX_HEADER_PIXELS:,} pixels; not decoded",
            reason="too_many_pixels",
        )


def timing(container: Any, name: str, seconds: float | None = None) -> Timing:
    """When each frame of a container's video begins, from its packets; only numbers of them are kept.

    Raises:
        MediaError: the index promises more frames than the file holds.
    """
    stream = container.streams.video[0]
    found: list[tuple[int | None, int, bool]] = []
    for packet in container.demux(stream):
        if packet.size and not packet.is_discard:
            found.append((packet.pts, packet.duration or 0, bool(packet.is_keyframe)))
    if len(found) < (promised := _promised_frames(stream)):
        raise MediaError(
            f"{name}: its index promises {promised} frames, the file holds {len(found)}; it was cut short",
            reason="corrupt_video",
        )
    rate = float(stream.average_rate or 0) or (len(found) / seconds if seconds else UNTIMED_FPS)
    timed = sorted((stamp, duration, key) for stamp, duration, key in found if stamp is not None)
    if len(timed) < len(found) or not found:
        return Timing(tuple(number / rate for number in range(len(found))), len(found) / rate)
    base = float(stream.time_base)
    origin = timed[0][0] * base
    starts = tuple(stamp * base - origin for stamp, _, _ in timed)
    last = timed[-1][1]
    duration = starts[-1] + (last * base if last else 1 / rate)
    if base >= _COARSE and _is_even(starts, rate, base):
        duration = len(starts) / rate
    return Timing(
        starts,
        duration,
        tuple(stamp for stamp, _, _ in timed),
        tuple(number for number, (_, _, key) in enumerate(timed) if key),
    )


def _is_even(starts: Sequence[float], rate: float, tick: float) -> bool:
    """Whether frames begin at this rate, but for the rounding of their clock."""
    return all(abs(start - number / rate) < 1.01 * tick for number, start in enumerate(starts))


def _promised_frames(stream: Any) -> int:
    """Frames the container's index lists; 0 where it has none, or one that is filled as the file is read."""
    if not stream.frames or len(entries := _index(stream)) != stream.frames:
        return 0
    return sum(not discard for _, discard in entries)


def _from_index(stream: Any) -> tuple[int, float] | None:
    """Frames and seconds of a stream whose index is complete and whose frames last equally long."""
    entries = [stamp for stamp, discard in _index(stream) if not discard]
    if not stream.frames or len(entries) != stream.frames or len(entries) < 2:
        return None
    step = entries[1] - entries[0]
    if step <= 0 or any(later - earlier != step for earlier, later in pairwise(entries)):
        return None
    if stream.duration != len(entries) * step:  # the last frame lasts longer or shorter, which only its packet tells
        return None
    return len(entries), len(entries) * step * float(stream.time_base)


def _index(stream: Any) -> list[tuple[int, bool]]:
    """Decoding time and whether it is left out, of every frame in the container's index."""
    return [(entry.timestamp, bool(entry.is_discard)) for entry in getattr(stream, "index_entries", ())]


# ---------------------------------------------------------------- animations


def _animation_header(file: BinaryIO, name: str, seconds: float | None) -> ClipHeader:
    with decoding(name, "the clip is damaged", "corrupt_video"):
        image = opened(file, name)
        walk = {"PNG": _png_durations, "WEBP": _webp_durations, "GIF": _gif_durations}[str(image.format)]
        durations = list(walk(as_file(file))) or [0.0]
    clock = 0.0
    for duration in durations:
        clock += duration / 1000
    if clock <= 0:
        clock = seconds or len(durations) / UNTIMED_FPS
    return ClipHeader(image.height, image.width, len(durations), clock)


def _png_durations(file: BinaryIO) -> Iterator[float]:
    """Milliseconds of each frame of an animated PNG; a picture before the first of them is no frame."""
    for kind, size in png_chunks(file):
        if kind == b"fcTL":
            data = file.read(size)
            share, whole = struct.unpack(">HH", data[20:24])
            yield float(share) / float(whole or 100) * 1000


def _webp_durations(file: BinaryIO) -> Iterator[float]:
    """Milliseconds of each frame of an animated WebP."""
    place = 12
    while len(head := _read_at(file, place, 8)) == 8:
        size = int.from_bytes(head[4:], "little")
        if head[:4] == b"ANMF":
            yield float(int.from_bytes(file.read(15)[12:], "little"))
        place += 8 + size + size % 2


def _gif_durations(file: BinaryIO) -> Iterator[float]:
    """Milliseconds of each frame of a GIF."""
    flags = _read_at(file, 10, 1)[0]
    file.seek(13 + _table_size(flags))
    duration = 0.0
    while (kind := file.read(1)) in (b"\x21", b"\x2c"):
        if kind == b"\x2c":
            file.seek(_table_size(file.read(9)[8]) + 1, 1)  # colours, then the code size
            yield duration
            duration = 0.0
        elif file.read(1) == b"\xf9":
            duration = 10.0 * int.from_bytes(_read_at(file, file.tell() + 2, 2), "little")
            file.seek(-4, 1)
        while size := file.read(1)[0]:
            file.seek(size, 1)


def _table_size(flags: int) -> int:
    """Bytes of a GIF's colour table."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _read_at(file: BinaryIO, place: int, size: int) -> bytes:
    file.seek(place)
    return file.read(size)
