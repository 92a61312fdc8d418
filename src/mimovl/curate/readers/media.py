"""Where a record's pictures come from: bytes, a file below the source's folder, a data URL, or, if allowed, a URL.

Reasons of drops, besides those of ``picture`` (empty_file, not_an_image, corrupt_image, too_many_pixels):

    missing_file       no such file below the folder
    outside_folder     a path that leads out of the folder
    network_off        a URL, and the run was not started with --allow-network
    too_large          more bytes than ``max_bytes``
    no_picture         what should be a picture is something else
    and those of ``fetch`` (private_address, bad_status, wrong_type, fetch_failed)
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr

from mimovl.curate.jpeg_header import read_header
from mimovl.curate.readers.fetch import Fetcher
from mimovl.curate.step import Reader
from mimovl.errors import MediaError
from mimovl.picture import MAX_HEADER_PIXELS, image_size
from mimovl.types import Media

__all__ = ["MediaReader", "inside", "picture_of"]

_APP1 = b"\xff\xe1"
"""EXIF or XMP, either of which may say that a picture lies on its side."""


class MediaReader(Reader):
    """A reader whose records name pictures."""

    media_root: str = ""
    """Folder that paths of pictures are relative to; unset: the folder of the file that names them."""
    max_bytes: int = Field(default=64 << 20, ge=1)
    """Largest picture, in bytes."""
    timeout: float = Field(default=30.0, gt=0)
    """Seconds a picture may take from the network, where that is allowed."""
    _fetcher: Fetcher | None = PrivateAttr(default=None)

    def go_online(self) -> None:
        """Let URLs be fetched from now on; the runner calls it where the command said --allow-network."""
        self._fetcher = Fetcher(self.max_bytes, self.timeout)

    def picture(self, value: Any, base: Path, name: str) -> Media:
        """A picture as a record holds it.

        Args:
            value: bytes, a table with bytes, path or url, or a text: a path, a URL, or a data URL.
            base: folder of the file that names it.
            name: used in errors.

        Raises:
            MediaError: it cannot be had or is no picture; ``reason`` is one of this module's.
        """
        if isinstance(value, dict):
            inner = value.get("bytes")
            value = inner if inner is not None else value.get("path") or value.get("url") or value.get("image_url")
            if isinstance(value, dict):
                value = value.get("url")
        if isinstance(value, bytes):
            return picture_of(value, name, self.max_bytes)
        if not isinstance(value, str) or not value:
            raise MediaError(f"{name}: {type(value).__name__} where a picture should be", reason="no_picture")
        if value.startswith("data:"):
            return picture_of(_decoded(value, name), name, self.max_bytes)
        if "://" in value[:12]:
            if value.startswith("file://"):
                value = value.removeprefix("file://")
            elif self._fetcher is None:
                raise MediaError(f"{name}: {value:.200} not fetched without --allow-network", reason="network_off")
            else:
                return picture_of(self._fetcher.get(value, name), name, self.max_bytes)
        path = inside(Path(self.media_root) if self.media_root else base, value, name)
        return picture_of(_read(path, name, self.max_bytes), name, self.max_bytes)


def picture_of(data: bytes, name: str, max_bytes: int = 64 << 20) -> Media:
    """Encoded bytes as media; only their header is looked at.

    Raises:
        MediaError: too many bytes, or no picture.
    """
    if len(data) > max_bytes:
        raise MediaError(f"{name}: {len(data):,} bytes, the limit is {max_bytes:,}", reason="too_large")
    height, width = _jpeg_size(data) or image_size(data, name=name)
    return Media(hashlib.sha256(data).hexdigest(), "image", data, width, height)


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Height and width of an ordinary JPEG that says nothing of its orientation, a fifth of PIL's time; else None."""
    header = read_header(data)
    if header is None or header.process > 2 or not header.is_grey_or_ycc or data.find(_APP1, 0, header.scan) >= 0:
        return None
    area = header.width * header.height
    return (header.height, header.width) if 0 < area <= MAX_HEADER_PIXELS else None


def inside(root: Path, relative: str, name: str) -> Path:
    """A path below a folder, links followed.

    Raises:
        MediaError: it leads elsewhere, or is no path.
    """
    try:
        home = root.resolve()
        path = (home / relative).resolve()
    except (OSError, ValueError, RuntimeError) as error:  # too long, a null byte, a circle of links
        raise MediaError(f"{name}: {relative[:200]!r} is no path ({error})", reason="missing_file") from None
    if not path.is_relative_to(home):
        raise MediaError(f"{name}: {relative:.200} lies outside {root}", reason="outside_folder")
    return path


def _read(path: Path, name: str, max_bytes: int) -> bytes:
    try:
        if not path.is_file():
            raise MediaError(f"{name}: {path} is not there", reason="missing_file")
        if (size := path.stat().st_size) > max_bytes:
            raise MediaError(f"{name}: {path} has {size:,} bytes, the limit is {max_bytes:,}", reason="too_large")
        return path.read_bytes()
    except OSError as error:
        raise MediaError(f"{name}: {os.fspath(path)[:300]} cannot be read ({error})", reason="missing_file") from None


def _decoded(url: str, name: str) -> bytes:
    head, comma, text = url.partition(",")
    if not comma or ";base64" not in head:
        raise MediaError(f"{name}: a data URL that is not base64", reason="no_picture")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MediaError(f"{name}: a data URL that does not decode ({error})", reason="no_picture") from None
