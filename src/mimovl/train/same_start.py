"""What processes compare before they train together: that all of them hold, or will read, the same weights.

Of every tensor a few thousand values are looked at, as they lie in memory: a training that touched any part of a model
changes all of its values, and nothing is computed that another machine might round otherwise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mimovl.model.shards import DTYPES, open_shard, stored_tensors
from mimovl.train.low_precision import local

__all__ = ["folder_digest", "weights_digest"]

_LOOKED_AT = 4096
"""Values of a tensor in memory, evenly spread."""


def weights_digest(model: nn.Module) -> str:
    """Tells a model's values from others; empty where they are divided among processes or not there yet."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        if tensor.is_meta or local(tensor) is not tensor:
            return ""
        flat = tensor.detach().reshape(-1)
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(_bytes(flat[:: -(-flat.numel() // _LOOKED_AT) or 1]))
    return digest.hexdigest()[:16]


def folder_digest(folder: Path) -> str:
    """Tells a checkpoint folder's weights from others: names, types, shapes, and three rows of every tensor.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    digest = hashlib.sha256()
    for file, tensors in groupby(stored_tensors(folder).values(), lambda one: one.file):
        with open_shard(file) as shard:
            for one in tensors:
                digest.update(f"{one.name} {one.dtype} {list(one.shape)}".encode())
                if one.dtype in DTYPES:
                    for rows in _rows(shard.get_slice(one.name), one.shape):
                        digest.update(_bytes(rows))
    return digest.hexdigest()[:16]


def _rows(piece: Any, shape: tuple[int, ...]) -> Iterator[torch.Tensor]:
    """The first, the middle and the last row of a matrix; a vector whole."""
    if len(shape) < 2:
        yield piece[...]
        return
    for row in sorted({0, shape[0] // 2, shape[0] - 1} if shape[0] else ()):
        yield piece[row : row + 1]


def _bytes(values: torch.Tensor) -> bytes:
    """As they lie in memory."""
    return values.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
