"""Reading a source whole, and files to read."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from mimovl.curate.step import Dropped, Reader
from mimovl.types import Sample


def read_all(reader: Reader) -> dict[str, Sample | Dropped]:
    """Every record by its id; ids must differ."""
    found: dict[str, Sample | Dropped] = {}
    for unit in reader.units():
        for name, record in reader.read(unit):
            assert name not in found, name
            found[name] = record
    return found


def kept(found: dict[str, Sample | Dropped]) -> dict[str, Sample]:
    return {name: record for name, record in found.items() if isinstance(record, Sample)}


def reasons(found: dict[str, Sample | Dropped]) -> dict[str, str]:
    return {name: record.reason for name, record in found.items() if isinstance(record, Dropped)}


def encoded(seed: int = 0, size: tuple[int, int] = (40, 30), kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def text_of(record: Sample | Dropped) -> str:
    assert isinstance(record, Sample), record
    return record.messages[-1].text


def write(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path
