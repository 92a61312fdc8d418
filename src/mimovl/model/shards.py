"""Safetensors folders larger than memory: tensors found by their headers, read and written a piece at a time.

    stored = stored_tensors(folder)                     name → where, which type, which shape; nothing is read yet
    for piece in read_pieces(stored["lm_head.weight"]): a few megabytes of its values, in order
    write_shards(folder, planned, shard_bytes)          the same the other way, then read back and compared

The library writes only what is in memory as a whole, so the writer here is our own: the format is eight bytes of
length, a JSON header and the values end to end. What it wrote is read back through the library.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open

from mimovl.errors import CheckpointError

__all__ = [
    "DTYPES",
    "INDEX",
    "PlannedTensor",
    "StoredTensor",
    "open_shard",
    "read_pieces",
    "shard_files",
    "stored_tensors",
    "write_shards",
]

INDEX = "model.safetensors.index.json"
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64}
"""Types of weights that are read, by their name in a header."""
_NAMES = {dtype: name for name, dtype in DTYPES.items()}

PIECE_BYTES = 4 * 2**20
"""Read or written at once. A file is opened anew for each piece, because the pages of a mapped file count as memory for
as long as it is open."""


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor lies."""

    name: str
    file: Path
    dtype: str
    """As headers name it: F32, BF16, …"""
    shape: tuple[int, ...]


@dataclass(frozen=True)
class PlannedTensor:
    """A tensor to be written."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    pieces: Callable[[], Iterable[torch.Tensor]]
    """Its values in order, of any type; called once."""

    @property
    def nbytes(self) -> int:
        """Its size in the file."""
        return prod(self.shape) * self.dtype.itemsize


def shard_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint: the whole one, or those of the index, or all there are.

    Raises:
        CheckpointError: there is none, or the index cannot be read.
    """
    index = folder / INDEX
    if (whole := folder / "model.safetensors").is_file():
        return [whole]
    if index.is_file():
        try:
            names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            files = sorted(folder / name for name in names)
        except (KeyError, AttributeError, TypeError, ValueError, OSError) as error:
            raise CheckpointError(f"{index}: cannot be read as a shard index ({error!r})") from None
    else:
        files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise CheckpointError(f"{folder}: no *.safetensors file; other weight formats are not read")
    return files


@contextmanager
def open_shard(file: Path) -> Iterator[Any]:
    """A safetensors file, open.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    try:
        with safe_open(file, framework="pt") as shard:
            yield shard
    except FileNotFoundError:
        raise CheckpointError(f"{file}: named by the index but missing") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file}: not a whole safetensors file ({error}); copy it again") from None


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Every tensor of a checkpoint by its name, from the headers alone.

    Raises:
        CheckpointError: a file is missing or damaged, or a name occurs twice.
    """
    found: dict[str, StoredTensor] = {}
    for file in shard_files(folder):
        with open_shard(file) as shard:
            for name in shard.keys():  # noqa: SIM118 (not a mapping)
                if name in found:
                    raise CheckpointError(f"{file}: tensor {name} is also in {found[name].file.name}; keep one of them")
                piece = shard.get_slice(name)
                found[name] = StoredTensor(name, file, piece.get_dtype(), tuple(piece.get_shape()))
    return found


def read_pieces(stored: StoredTensor) -> Iterator[torch.Tensor]:
    """The values of a tensor in order, as flat pieces of at most ``PIECE_BYTES`` (or one row, if that is more)."""
    rows = stored.shape[0] if stored.shape else 1
    row_bytes = max(1, prod(stored.shape[1:]) * DTYPES[stored.dtype].itemsize)
    step = max(1, PIECE_BYTES // row_bytes)
    for first in range(0, rows, step):
        with open_shard(stored.file) as shard:
            whole = shard.get_slice(stored.name)
            yield (whole[first : first + step] if stored.shape else whole[...]).reshape(-1)
            del whole


def write_shards(
    folder: Path,
    planned: Sequence[PlannedTensor],
    shard_bytes: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write tensors into files of at most ``shard_bytes`` (or one tensor, if that is more), and compare what is there.

    One file is ``model.safetensors``; several are numbered, with an index beside them.

    Args:
        folder: an empty one.
        planned: in the order they are to be written.
        shard_bytes: largest size of a file's values.
        progress: told the bytes written so far and in all.

    Returns:
        The files.

    Raises:
        CheckpointError: the disk is full or refuses, a value is not finite in its new type, or what was read back
            differs; names the tensor and the file.
    """
    groups: list[list[PlannedTensor]] = []
    room = 0
    for tensor in planned:
        if not groups or tensor.nbytes > room:
            groups.append([])
            room = shard_bytes
        groups[-1].append(tensor)
        room -= tensor.nbytes
    total = sum(tensor.nbytes for tensor in planned)
    count = len(groups)
    names = [f"model-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]
    files = [folder / name for name in (names if count > 1 else ["model.safetensors"])]
    done = 0

    def wrote(size: int) -> None:
        nonlocal done
        done += size
        if progress:
            progress(done, total)

    for file, group in zip(files, groups, strict=True):
        try:
            digests = _write_shard(file, group, wrote)
        except OSError as error:
            raise CheckpointError(
                f"{file}: {error.strerror} after {done:,} of {total:,} bytes of weights; make room (or choose "
                "another --out) and start again"
            ) from None
        _compare(file, group, digests)
    if count > 1:
        weight_map = {tensor.name: file.name for file, group in zip(files, groups, strict=True) for tensor in group}
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return files


def _write_shard(file: Path, group: Sequence[PlannedTensor], wrote: Callable[[int], None]) -> dict[str, bytes]:
    """One file; the digest of each tensor's bytes as they were handed over."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for tensor in group:
        header[tensor.name] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + tensor.nbytes],
        }
        offset += tensor.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # values start at a multiple of eight
    digests = {}
    with file.open("wb", buffering=0) as out:
        _put(out, len(text).to_bytes(8, "little") + text)
        for tensor in group:
            digest, size = hashlib.blake2b(), 0
            for piece in tensor.pieces():
                narrow = piece.to(tensor.dtype)
                if not torch.isfinite(narrow).all():
                    raise CheckpointError(
                        f"tensor {tensor.name} holds values that are not finite as {str(tensor.dtype)[6:]}; "
                        "is the file damaged, or the type too narrow? (--dtype bf16 has the range of fp32)"
                    )
                data = narrow.contiguous().view(torch.uint8).numpy().data
                _put(out, data)
                digest.update(data)
                size += len(data)
                wrote(len(data))
            assert size == tensor.nbytes, f"{tensor.name}: {size} bytes came for {tensor.nbytes}"
            digests[tensor.name] = digest.digest()
        out.flush()
        os.fsync(out.fileno())
        if hasattr(os, "posix_fadvise"):  # so that reading back reads the disk
            os.posix_fadvise(out.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return digests


def _put(out: BinaryIO, data: bytes | memoryview) -> None:
    """All of it: an unbuffered write may take a part, and a full disk shows only at the next."""
    view = memoryview(data)
    while view:
        view = view[out.write(view) :]


def _compare(file: Path, group: Sequence[PlannedTensor], digests: Mapping[str, bytes]) -> None:
    """Read a file through the library and compare names, types, shapes and bytes with what was handed over."""
    with open_shard(file) as shard:
        held = {name: shard.get_slice(name) for name in shard.keys()}  # noqa: SIM118
        found = {name: (piece.get_dtype(), tuple(piece.get_shape())) for name, piece in held.items()}
        del held
    wanted = {tensor.name: (_NAMES[tensor.dtype], tensor.shape) for tensor in group}
    if found != wanted:
        wrong = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))[0]
        raise CheckpointError(f"{file}: tensor {wrong} reads back as {found.get(wrong)}, not {wanted.get(wrong)}")
    for tensor in group:
        digest = hashlib.blake2b()
        for piece in read_pieces(StoredTensor(tensor.name, file, _NAMES[tensor.dtype], tensor.shape)):
            digest.update(piece.contiguous().view(torch.uint8).numpy().data)
        if digest.digest() != digests[tensor.name]:
            raise CheckpointError(f"{file}: tensor {tensor.name} reads back differently; the disk is not to be trusted")
