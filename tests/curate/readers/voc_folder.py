"""Small Pascal-VOC folders for the tests: photos of noise blocks, so that no two look alike."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

Object = tuple[str, tuple[object, object, object, object]]

DEFAULT: tuple[Object, ...] = (
    ("RBC", (10, 20, 50, 60)),
    ("RBC", (60, 10, 90, 40)),
    ("WBC", (100, 60, 160, 110)),
)
SIZE = (168, 112)
"""Width and height of the photos; multiples of 28, so that smart-resize leaves them alone."""


def jpeg(number: int, size: tuple[int, int] = SIZE, quality: int = 90, exif: int = 0) -> bytes:
    """A photo; equal numbers show the same."""
    blocks = np.random.default_rng(number).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    image = Image.fromarray(blocks).resize(size, Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    tags = Image.Exif()
    if exif:
        tags[0x0112] = exif
    image.save(buffer, "JPEG", quality=quality, exif=tags)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds hardly any pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def xml(objects: Sequence[Object] = DEFAULT, size: tuple[int, int] | None = SIZE, name: str = "p0.jpg") -> str:
    """An annotation."""
    parts = [f"<annotation><filename>{name}</filename>"]
    if size:
        parts.append(f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>")
    for label, (x1, y1, x2, y2) in objects:
        box = f"<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
        parts.append(f"<object><name>{label}</name><bndbox>{box}</bndbox></object>")
    return "".join([*parts, "</annotation>"])


def write_voc(
    folder: Path,
    photos: int = 0,
    *,
    images: str = "images",
    annotations: str = "annotations",
    broken: Mapping[str, bytes] | None = None,
    annotation: Mapping[str, str] | None = None,
) -> Path:
    """``photos`` good pairs p0, p1, …, some with the bytes of ``broken`` or the XML of ``annotation`` instead."""
    (folder / images).mkdir(parents=True, exist_ok=True)
    (folder / annotations).mkdir(parents=True, exist_ok=True)
    names = {f"p{number}" for number in range(photos)} | set(broken or {}) | set(annotation or {})
    for number, name in enumerate(sorted(names)):
        (folder / images / f"{name}.jpg").write_bytes((broken or {}).get(name, jpeg(number)))
        (folder / annotations / f"{name}.xml").write_text((annotation or {}).get(name, xml()), encoding="utf-8")
    return folder
