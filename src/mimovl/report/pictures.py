"""Finds the pictures and clips of a run by sample or content hash and embeds them as data URIs, within a byte budget.

Small still pictures go in losslessly as PNG; large photos are scaled down and become JPEG. A clip becomes one strip
of its frames, evenly spaced in time, so that a time axis fits under it.
"""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from mimovl.data.image import ImageSettings, smart_resize
from mimovl.errors import MediaError, MimovlError, UsageError
from mimovl.report.format import finite
from mimovl.report.run_directory import mapping
from mimovl.store import Dataset
from mimovl.types import Media

__all__ = ["Embedded", "Pictures"]

_MOST_PIXELS = 40_000_000
_LARGEST_SIDE = 480
"""Photos larger than this are scaled down to it."""
_PNG_SIDE = 256
"""Pictures up to this side are kept as PNG: drawn scenes and letters suffer from JPEG."""
_STRIP_FRAMES = 12
_STRIP_HEIGHT = 84
_UNREADABLE = (MimovlError, OSError, KeyError, TypeError, ValueError)
"""What a damaged dataset may raise; a report is written all the same."""


@dataclass(frozen=True)
class Embedded:
    """A picture or strip ready for the page. ``seconds`` is the length of a clip, 0 for a picture."""

    uri: str
    width: int
    """Of the file, or of the strip."""
    height: int
    seconds: float = 0.0
    seen: tuple[int, int] = (0, 0)
    """Width and height of the smart-resized picture, in whose pixels boxes and points are given."""


class Pictures:
    """The media of a run's datasets, looked up in order. Opens one when first asked, reads only the asked samples.

    Args:
        datasets: Dataset folders; those that do not exist are passed over.
        budget: Most characters of data URIs; beyond it pictures are left out.
    """

    def __init__(self, datasets: Sequence[Path], *, budget: int = 3_200_000) -> None:
        self._paths = list(datasets)
        self._datasets: dict[Path, Dataset | None] = {}
        self._left = budget
        self._made: dict[str, Embedded | None] = {}
        self.notes: list[str] = []
        """Why a dataset could not be used, one sentence each."""

    def embed(self, sample_id: str, names: Sequence[str]) -> Embedded | None:
        """The first of a sample's media ``names`` that can be read and still fits into the budget, or None."""
        for name in names:
            if name not in self._made:
                self._made[name] = self._make(sample_id, name)
            made = self._made[name]
            if made is not None and len(made.uri) <= self._left:
                self._left -= len(made.uri)
                return made
        return None

    def _make(self, sample_id: str, name: str) -> Embedded | None:
        for path in self._paths:
            dataset = self._open(path)
            try:
                if dataset is not None and (media := dataset.find(sample_id).media.get(name)):
                    return _encode(media, finite(mapping(dataset.manifest.get("notes")).get("max_pixels")))
            except UsageError:
                continue
            except _UNREADABLE as error:
                self._give_up(path, error)
        return None

    def _open(self, path: Path) -> Dataset | None:
        if path not in self._datasets:
            self._datasets[path] = None
            if (path / "manifest.json").exists():
                try:
                    self._datasets[path] = Dataset.open(path)
                except _UNREADABLE as error:
                    self._give_up(path, error)
        return self._datasets[path]

    def _give_up(self, path: Path, error: Exception) -> None:
        self._datasets[path] = None
        self.notes.append(f"The pictures of data/{path.name} cannot be read: {error}")


def _uri(image: Image.Image, kind: str) -> str:
    buffer = io.BytesIO()
    if kind == "PNG":
        image.save(buffer, "PNG", compress_level=6)
    else:
        image.convert("RGB").save(buffer, "JPEG", quality=82)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _encode(media: Media, max_pixels: float | None) -> Embedded | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(media.data)) as image:
                if image.width * image.height > _MOST_PIXELS:
                    return None
                frames = getattr(image, "n_frames", 1)
                if media.kind == "video" or frames > 1:
                    return _strip(image, frames, media.fps)
                height, width = smart_resize(
                    image.height, image.width, max_pixels=int(max_pixels or ImageSettings.max_pixels)
                )
                return _still(image, (width, height))
    except (MediaError, OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
        return None


def _still(image: Image.Image, seen: tuple[int, int]) -> Embedded:
    width, height = image.size
    small = max(width, height) <= _PNG_SIDE
    shown = image if image.mode in ("RGB", "L", "P") else image.convert("RGB")
    if not small:
        shown = image.convert("RGB")
        shown.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
    return Embedded(_uri(shown, "PNG" if small else "JPEG"), width, height, seen=seen)


def _strip(image: Image.Image, frames: int, fps: float) -> Embedded:
    """Up to twelve frames side by side; frame k shows the middle of the k-th of equally long times."""
    starts, seconds = [], 0.0
    for index in range(frames):
        image.seek(index)
        starts.append(seconds)
        seconds += float(image.info.get("duration") or 0.0) / 1000.0
    if seconds <= 0:
        rate = fps or 1.0
        starts, seconds = [index / rate for index in range(frames)], frames / rate
    shown = min(_STRIP_FRAMES, frames, max(1, round(seconds)))
    scale = min(1.0, _STRIP_HEIGHT / image.height)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    strip = Image.new("RGB", (size[0] * shown, size[1]))
    for index in range(shown):
        wanted = seconds * (index + 0.5) / shown
        image.seek(max(number for number, start in enumerate(starts) if start <= wanted))
        strip.paste(image.convert("RGB").resize(size), (index * size[0], 0))
        if index:
            strip.paste((255, 255, 255), (index * size[0] - 1, 0, index * size[0] + 1, size[1]))
    return Embedded(_uri(strip, "PNG" if max(size) <= _PNG_SIDE else "JPEG"), strip.width, strip.height, seconds)
