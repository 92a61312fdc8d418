"""MiMo-VL from its parts (§2.1): the vision tower of Qwen2.5-VL, the decoder of MiMo-7B, and a projector drawn anew.

    config = assembled_config(qwen_folder, mimo_folder)
    parts = assemble_weights(qwen_folder, mimo_folder, config, out, seed=0, dtype=torch.bfloat16)

Weights pass from file to file a few megabytes at a time (``model/shards.py``); only the projector is ever in memory.
What MiMo-7B has beyond a decoder, the layers that predict further tokens (``model.mtp_layers``), is left out: the
published MiMo-VL has none. Tokenizer and template are ``pipeline/assemble.py``'s.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import torch

from mimovl.errors import CheckpointError
from mimovl.model.config import ModelConfig
from mimovl.model.config_section import Section
from mimovl.model.hf_checkpoint import (
    SHARD_BYTES,
    check_tied_head,
    hf_name,
    is_ignored,
    published_name,
    published_shape,
    read_config,
)
from mimovl.model.projector import Projector
from mimovl.model.shards import DTYPES, PlannedTensor, StoredTensor, read_pieces, stored_tensors, write_shards
from mimovl.model.vlm import build_model, initialise

__all__ = [
    "MAX_POSITION",
    "AssembledPart",
    "assemble_weights",
    "assembled_config",
    "checked_tensor",
    "decoder_config",
    "decoder_tensors",
]

MAX_POSITION = 128_000
"""Of the published MiMo-VL; MiMo-7B-Base says 32,768, and no report says how one became the other."""

_WORDS = (
    *("hidden_act", "use_sliding_window", "head_dim", "hidden_size", "intermediate_size", "num_hidden_layers"),
    *("num_attention_heads", "num_key_value_heads", "vocab_size", "rms_norm_eps", "tie_word_embeddings"),
)
"""What both kinds of ``config.json`` say of a decoder."""
_NORM_EPS = 1e-6
"""Of a Qwen2 or MiMo decoder that does not say; one of Qwen2.5-VL that does not say has 1e-5."""
_FURTHER_TOKENS = re.compile(r"^model\.mtp_layers\.")
_TOWER, _MERGER, _HEAD = "visual.", "visual.merger.", "lm_head.weight"


@dataclass
class AssembledPart:
    """What was taken for one part of the model."""

    origin: str
    tensors: int = 0
    parameters: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    """Tensors of further-token prediction that have no place in the model: name → parameters."""


def assembled_config(vision: Path, language: Path) -> ModelConfig:
    """The shape of the model: the tower of one folder, the decoder of the other, MRoPE as published.

    Token ids are those of the vision folder's configuration.

    Raises:
        CheckpointError: a folder is of another architecture, or lacks an entry; names file and entry.
    """
    seen = read_config(vision)
    config = decoder_config(language, seen.to_hf()["vision_config"])
    ids = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    return replace(config, extra={}, **{name: getattr(seen, name) for name in ids})


def decoder_config(language: Path, tower: dict[str, Any]) -> ModelConfig:
    """The shape of a model with the decoder of a folder and a tower given as in a published ``vision_config``.

    Raises:
        CheckpointError: the folder is of another architecture, or lacks an entry; names file and entry.
    """
    file = language / "config.json"
    if not language.is_dir():
        raise CheckpointError(f"{language}: no such checkpoint folder")
    if not file.is_file():
        raise CheckpointError(f"{language}: config.json is missing; a checkpoint is a Hugging Face folder")
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file}: cannot be read as JSON ({error})") from None
    if not isinstance(data, dict) or data.get("model_type") not in ("mimo", "qwen2"):
        kind = data.get("model_type") if isinstance(data, dict) else type(data).__name__
        raise CheckpointError(
            f"{file}: model_type is {kind!r}; --language takes a decoder of type 'mimo' (MiMo-7B) or 'qwen2', which "
            "has its layout"
        )
    root = Section(data, str(file))
    root.only("attention_bias", True, None)
    root.only("rope_scaling", None)
    rope = root.table("rope_parameters")
    rope.only("rope_type", "default", None)
    # What ``ModelConfig`` reads, in the words of the published vision-language configuration.
    table = {word: data[word] for word in _WORDS if word in data}
    table["rms_norm_eps"] = root.number("rms_norm_eps", _NORM_EPS)
    return ModelConfig.from_hf(
        {
            **table,
            "model_type": "qwen2_5_vl",
            "max_position_embeddings": max(MAX_POSITION, root.integer("max_position_embeddings", MAX_POSITION)),
            "rope_theta": (rope if "rope_theta" in rope.data else root).number("rope_theta"),
            "rope_scaling": {"type": "mrope"},
            "vision_config": {**tower, "out_hidden_size": root.integer("hidden_size")},
        },
        where=str(file),
    )


def assemble_weights(
    vision: Path,
    language: Path,
    config: ModelConfig,
    out: Path,
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.bfloat16,
    shard_bytes: int = SHARD_BYTES,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, AssembledPart]:
    """Write the weights of the assembled model as safetensors, each tensor read back and compared.

    Args:
        vision: a Qwen2.5-VL checkpoint folder.
        language: a MiMo-7B checkpoint folder.
        config: what :func:`assembled_config` made of both.
        out: an empty folder.
        seed: draws the projector.
        dtype: of the stored weights.
        shard_bytes: largest file.
        progress: told the bytes written so far and in all.

    Returns:
        What each part came from: vision, projector, language.

    Raises:
        CheckpointError: a tensor is missing, misshapen, unknown or quantised (names it, its file, and both shapes),
            the disk has no room, or what was read back differs.
    """
    parts = {
        "vision": AssembledPart(str(vision)),
        "projector": AssembledPart(f"drawn anew, seed {seed}"),
        "language": AssembledPart(str(language)),
    }
    with torch.device("cpu"):
        projector = Projector(config)
    initialise(projector, seed=seed)
    fresh = {hf_name(f"projector.{name}"): tensor.detach() for name, tensor in projector.named_parameters()}
    wanted = {
        hf_name(name): tuple(published_shape(name, parameter, config))
        for name, parameter in build_model(config, device="meta").named_parameters()
    }
    tower = _tower_tensors(vision)
    decoder = decoder_tensors(language, config, parts["language"].left_out)
    planned = []
    missing: dict[Path, list[str]] = {}
    for name, shape in wanted.items():
        part = "projector" if name in fresh else "vision" if name.startswith(_TOWER) else "language"
        parts[part].tensors += 1
        parts[part].parameters += prod(shape)
        if name in fresh:
            planned.append(PlannedTensor(name, shape, dtype, partial(_whole, fresh[name])))
            continue
        folder, found = (vision, tower) if part == "vision" else (language, decoder)
        if name not in found:
            missing.setdefault(folder, []).append(name)
            continue
        planned.append(
            PlannedTensor(name, shape, dtype, partial(read_pieces, checked_tensor(found.pop(name), shape, folder)))
        )
    for folder, names in missing.items():
        count = sum(part.tensors for part in parts.values() if part.origin == str(folder))
        raise CheckpointError(
            f"{folder}: {len(names)} of {count} tensors are missing in its safetensors: {_some(names)}; copy the "
            "whole checkpoint"
        )
    for folder, found in ((vision, tower), (language, decoder)):
        if found:
            raise CheckpointError(
                f"{folder}: {len(found)} tensors have no place in MiMo-VL: {_some(list(found))}; is it another model?"
            )
    needed, free = sum(tensor.nbytes for tensor in planned), shutil.disk_usage(out).free
    if needed > free:
        raise CheckpointError(
            f"{out.parent}: the weights take {needed:,} bytes, the disk has {free:,} free; make room, or choose "
            "another --out"
        )
    write_shards(out, planned, shard_bytes, progress)
    return parts


def _tower_tensors(folder: Path) -> dict[str, StoredTensor]:
    """The vision tower of a Qwen2.5-VL checkpoint by published name, without its own projector."""
    found: dict[str, StoredTensor] = {}
    for name, stored in stored_tensors(folder).items():
        published = published_name(name)
        if published.startswith(_TOWER) and not published.startswith(_MERGER) and not is_ignored(published):
            if published in found:
                raise CheckpointError(f"{stored.file}: tensor {name} is also stored as {found[published].name}")
            found[published] = stored
    return found


def decoder_tensors(folder: Path, config: ModelConfig, left_out: dict[str, int]) -> dict[str, StoredTensor]:
    """The decoder of a MiMo-7B checkpoint; what predicts further tokens is noted in ``left_out``.

    Raises:
        CheckpointError: a head of its own beside an embedding it is said to be tied to; names both.
    """
    found: dict[str, StoredTensor] = {}
    everything = stored_tensors(folder)
    if config.language.tie_embeddings:
        check_tied_head(folder, everything)
    for name, stored in everything.items():
        if _FURTHER_TOKENS.match(name):
            left_out[name] = prod(stored.shape)
        elif not is_ignored(name) and not (config.language.tie_embeddings and name == _HEAD):
            found[name] = stored
    return found


def checked_tensor(stored: StoredTensor, shape: tuple[int, ...], folder: Path) -> StoredTensor:
    """The tensor, if it has the shape that the model wants and is not quantised.

    Raises:
        CheckpointError: it has not, or is; names it, its file, and both shapes.
    """
    if stored.shape != shape:
        raise CheckpointError(
            f"{stored.file}: tensor {stored.name} has shape {list(stored.shape)}, {folder / 'config.json'} makes it "
            f"{list(shape)}; the weights and the configuration are of different models"
        )
    if stored.dtype not in DTYPES:
        raise CheckpointError(f"{stored.file}: tensor {stored.name} is {stored.dtype}; quantised weights are not read")
    return stored


def _whole(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    yield tensor.reshape(-1)


def _some(names: list[str], limit: int = 5) -> str:
    """The first few of a list, and how many more."""
    names = sorted(names)
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
