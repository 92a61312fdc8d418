"""Read and write Hugging Face folders of ``Qwen2_5_VLForConditionalGeneration``.

    config.json  model*.safetensors  generation_config.json        from the model
    tokenizer, processor and chat-template files                   carried along as ``model.side_files``

Tensor names are those of the published checkpoints (``visual.…``, ``model.layers.…``, ``lm_head``); the nested names
newer ``transformers`` writes are read too. A folder is written beside its target and renamed, so a reader never
meets half a checkpoint.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial as part
from pathlib import Path
from typing import Any

import torch

from mimovl.errors import CheckpointError
from mimovl.model.config import ModelConfig
from mimovl.model.shards import (
    DTYPES,
    PIECE_BYTES,
    PlannedTensor,
    StoredTensor,
    open_shard,
    shard_files,
    stored_tensors,
    write_shards,
)
from mimovl.model.vlm import VisionLanguageModel

__all__ = [
    "SIDE_FILES",
    "check_tied_head",
    "default_files",
    "hf_name",
    "is_ignored",
    "load_checkpoint",
    "published_name",
    "published_shape",
    "read_config",
    "read_side_files",
    "replace_folder",
    "save_checkpoint",
]

SIDE_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "processor_config.json",
    "generation_config.json",
)
"""Small files of a checkpoint folder that belong to the tokenizer, processor and template, copied verbatim."""

SHARD_BYTES = 5 * 10**9

_TO_HF = (
    (re.compile(r"^vision\.patch_embed\.weight$"), "visual.patch_embed.proj.weight"),
    (re.compile(r"^vision\."), "visual."),
    (re.compile(r"^projector\.norm\."), "visual.merger.ln_q."),
    (re.compile(r"^projector\.up\."), "visual.merger.mlp.0."),
    (re.compile(r"^projector\.down\."), "visual.merger.mlp.2."),
    (re.compile(r"^language\.lm_head\."), "lm_head."),
    (re.compile(r"^language\."), "model."),
)
_NESTED = (("model.visual.", "visual."), ("model.language_model.", "model."))
_IGNORED = re.compile(r"(^|\.)rotary_(pos_)?emb\.inv_freq$")


def hf_name(name: str) -> str:
    """The published checkpoint's name of one of our parameters."""
    for pattern, replacement in _TO_HF:
        renamed, hits = pattern.subn(replacement, name)
        if hits:
            return renamed
    return name


def published_name(name: str) -> str:
    """A stored name with the nesting of newer ``transformers`` taken off."""
    for prefix, replacement in _NESTED:
        if name.startswith(prefix):
            return replacement + name[len(prefix) :]
    return name


def is_ignored(name: str) -> bool:
    """Whether a stored tensor is one that older exports carry and nobody needs: rotary tables."""
    return bool(_IGNORED.search(name))


def read_config(path: str | Path) -> ModelConfig:
    """The configuration of a checkpoint folder.

    Raises:
        CheckpointError: no folder, no or unreadable ``config.json``, or another architecture.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such checkpoint folder")
    file = folder / "config.json"
    if not file.is_file():
        raise CheckpointError(f"{folder}: config.json is missing; a checkpoint is a Hugging Face folder")
    return ModelConfig.from_hf(_read_table(file), where=str(file))


def _read_table(file: Path) -> dict[str, Any]:
    """A JSON file that holds one table."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file}: cannot be read as JSON ({error})") from None
    if not isinstance(data, dict):
        raise CheckpointError(f"{file}: must hold a table, it holds {type(data).__name__}")
    return data


def read_side_files(path: str | Path) -> dict[str, bytes]:
    """Tokenizer, processor and template files of a folder, by name."""
    return {name: (Path(path) / name).read_bytes() for name in SIDE_FILES if (Path(path) / name).is_file()}


def load_checkpoint(
    path: str | Path, *, dtype: torch.dtype | None = torch.float32, device: torch.device | str = "cpu"
) -> VisionLanguageModel:
    """Load a model from a Hugging Face folder, tensor by tensor.

    Args:
        path: the folder.
        dtype: of the parameters; None keeps the stored one.
        device: where they are put.

    Raises:
        CheckpointError: a missing, misshapen or unknown tensor, a head that is not the embedding it is tied to, an
            unreadable file, or another architecture; each message names the tensor, the file, and both shapes.
    """
    config = read_config(path)
    with torch.device("meta"):
        model = VisionLanguageModel(config)
    wanted = {hf_name(name): (name, parameter) for name, parameter in model.named_parameters()}
    state: dict[str, torch.Tensor] = {}
    found_in: dict[str, Path] = {}
    unknown: list[str] = []
    for stored, tensor, file in _tensors(Path(path)):
        published = published_name(stored)
        if published not in wanted:
            if not is_ignored(stored) and not (config.language.tie_embeddings and published == "lm_head.weight"):
                unknown.append(stored)
            continue
        if published in found_in:
            raise CheckpointError(f"{file}: tensor {stored} is also in {found_in[published].name}; keep one of them")
        name, parameter = wanted[published]
        expected = published_shape(name, parameter, config)
        if tensor.shape != expected:
            raise CheckpointError(
                f"{file}: tensor {stored} has shape {list(tensor.shape)}, config.json makes it {list(expected)}; "
                "the weights and the configuration are of different models"
            )
        if not tensor.is_floating_point():
            raise CheckpointError(f"{file}: tensor {stored} is {tensor.dtype}; quantised weights are not read")
        found_in[published] = file
        state[name] = tensor.reshape(parameter.shape).to(device=device, dtype=dtype or tensor.dtype)
    missing = wanted.keys() - found_in.keys()
    if missing:
        files = ", ".join(sorted({file.name for file in found_in.values()})) or "its safetensors"
        raise CheckpointError(
            f"{path}: {len(missing)} of {len(wanted)} tensors are missing in {files}: {_some(missing)}"
        )
    if unknown:
        raise CheckpointError(
            f"{path}: {len(unknown)} tensors have no place in this architecture: {_some(unknown)}; "
            "is it another model, or does it carry extra heads?"
        )
    model.load_state_dict(state, assign=True, strict=not config.language.tie_embeddings)
    if config.language.tie_embeddings:
        check_tied_head(Path(path), stored_tensors(Path(path)))
        model.language.lm_head.weight = model.language.embed_tokens.weight
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    model.side_files = read_side_files(path)
    return model


def check_tied_head(folder: Path, stored: Mapping[str, StoredTensor]) -> None:
    """Refuse a head that lies beside the embedding it is said to be tied to and is another matrix.

    ``transformers`` keeps such a head; to drop it would be another model. Read a few megabytes at a time.

    Args:
        folder: of the checkpoint, whose configuration ties the two.
        stored: its tensors by name.

    Raises:
        CheckpointError: the two differ; names both and the cure.
    """
    named = {published_name(name): one for name, one in stored.items()}
    head, embedding = named.get("lm_head.weight"), named.get("model.embed_tokens.weight")
    if head and embedding and not _equal(head, embedding):
        raise CheckpointError(
            f"{folder / 'config.json'} says tie_word_embeddings, but {head.name} ({head.file.name}) is not "
            f"{embedding.name} ({embedding.file.name}): set tie_word_embeddings to false to keep the head, or take "
            "it out of the file"
        )


def _equal(one: StoredTensor, other: StoredTensor) -> bool:
    """Whether two stored matrices hold the same values, in whatever types."""
    if len(one.shape) != 2 or one.shape != other.shape or not {one.dtype, other.dtype} <= DTYPES.keys():
        return False
    step = max(1, PIECE_BYTES // (8 * max(1, one.shape[1])))
    for first in range(0, one.shape[0], step):
        # Opened anew for each piece, as in ``read_pieces``.
        with open_shard(one.file) as file, open_shard(other.file) as beside:
            piece, twin = (f.get_slice(t.name)[first : first + step] for f, t in ((file, one), (beside, other)))
        if not torch.allclose(piece.double(), twin.double(), rtol=0, atol=0, equal_nan=True):
            return False
    return True


def _tensors(folder: Path) -> Iterator[tuple[str, torch.Tensor, Path]]:
    """Every stored tensor with its name and file, one shard open at a time."""
    for file in shard_files(folder):
        with open_shard(file) as shard:
            for name in shard.keys():  # noqa: SIM118 (not a mapping)
                yield name, shard.get_tensor(name), file


def save_checkpoint(
    model: VisionLanguageModel,
    path: str | Path,
    *,
    dtype: torch.dtype | None = None,
    side_files: Mapping[str, bytes] | None = None,
    shard_bytes: int = SHARD_BYTES,
    whole: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> Path:
    """Write a Hugging Face folder that ``from_pretrained`` reads.

    Written beside ``path``, read back and compared, and put in its place at the end, so a failure half-way leaves an
    older checkpoint whole.

    Args:
        model: the model; its ``side_files`` travel along.
        path: the folder; replaced as a whole if it holds a checkpoint.
        dtype: of the stored tensors; None keeps the model's.
        side_files: tokenizer, processor and template files instead of the model's own.
        shard_bytes: largest size of one safetensors file.
        whole: puts a parameter that is divided among processes together; called for each in the model's order.

    Returns:
        The folder.

    Raises:
        CheckpointError: something that is not a checkpoint is in the way, the disk is full, a value is not finite, or
            what was read back differs.
    """
    target = Path(path).resolve()
    if target.exists() and (target.is_file() or (any(target.iterdir()) and not (target / "config.json").exists())):
        raise CheckpointError(f"{target}: is in the way and is not a checkpoint; name another folder")
    partial = target.with_name(f".{target.name}.partial-{platform.node()}-{os.getpid()}")
    _remove_abandoned(partial)
    partial.mkdir(parents=True)
    try:
        planned = _planned(model, dtype, whole)
        stored = planned[0].dtype
        config = {**model.config.to_hf(), "torch_dtype": str(stored).removeprefix("torch.")}
        _write_json(partial / "config.json", config)
        files = {**default_files(model.config), **model.side_files, **(side_files or {}), **model.extra_files()}
        for name, data in files.items():
            (partial / name).write_bytes(data)
        write_shards(partial, planned, shard_bytes)
        _check_files(partial, model.config, files)
        replace_folder(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Path(path)


def _remove_abandoned(partial: Path) -> None:
    """Remove what killed writers of the same checkpoint, on this machine, left beside it."""
    prefix = partial.name.removesuffix(str(os.getpid()))
    for sibling in partial.parent.iterdir() if partial.parent.is_dir() else ():
        number = sibling.name.removeprefix(prefix)
        if sibling.name.startswith(prefix) and number.isdecimal() and not _runs(int(number)):
            shutil.rmtree(sibling, ignore_errors=True)


def _runs(process: int) -> bool:
    """Whether another process of that number is alive."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return process != os.getpid()


def replace_folder(partial: Path, target: Path) -> None:
    """Put a finished folder in the place of ``target``, which is the old one or the new one at any moment.

    Where the file system cannot exchange two folders, ``target`` is absent for the instant between two renames.
    """
    if not target.exists():
        partial.rename(target)
    elif _exchange(partial, target):
        shutil.rmtree(partial)
    else:
        old = target.with_name(f".{target.name}.old-{os.getpid()}")
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
        try:
            partial.rename(target)
        except OSError:
            old.rename(target)
            raise
        shutil.rmtree(old)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two paths in one step (Linux ``renameat2``); False where that is not possible."""
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    if renameat2 is None:
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return bool(renameat2(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0)


def published_shape(name: str, parameter: torch.Tensor, config: ModelConfig) -> torch.Size:
    """The shape of one of our parameters in a checkpoint: the patch embedding is a convolution there."""
    if name != "vision.patch_embed.weight":
        return parameter.shape
    vision = config.vision
    kernel = (vision.in_channels, vision.temporal_patch_size, vision.patch_size, vision.patch_size)
    return torch.Size((vision.hidden_size, *kernel))


def _planned(
    model: VisionLanguageModel, dtype: torch.dtype | None, whole: Callable[[torch.Tensor], torch.Tensor] | None
) -> list[PlannedTensor]:
    planned = []
    for name, parameter in model.named_parameters():  # a tied head is listed once
        if not name.startswith(("vision.", "projector.", "language.")):
            continue  # something trained beside the model, e.g. a throwaway head
        shape = tuple(published_shape(name, parameter, model.config))
        pieces = part(_pieces, parameter.detach(), whole)
        planned.append(PlannedTensor(hf_name(name), shape, dtype or parameter.dtype, pieces))
    return planned


def _pieces(parameter: torch.Tensor, whole: Callable[[torch.Tensor], torch.Tensor] | None) -> Iterator[torch.Tensor]:
    yield (whole(parameter) if whole else parameter).cpu().reshape(-1)


def _check_files(folder: Path, config: ModelConfig, files: Mapping[str, bytes]) -> None:
    """Read the small files back; the weights have been compared as they were written."""
    for name, data in files.items():
        if (folder / name).read_bytes() != data:
            raise CheckpointError(f"{folder / name} reads back differently; the disk is not to be trusted")
    if read_config(folder) != config:
        raise CheckpointError(f"{folder / 'config.json'} reads back as another shape than it was written for")


def default_files(config: ModelConfig) -> dict[str, bytes]:
    """A generation configuration for models that were not loaded from a folder."""
    generation = {
        "bos_token_id": config.pad_token_id,
        "eos_token_id": [config.eos_token_id, config.pad_token_id],
        "pad_token_id": config.pad_token_id,
        "do_sample": False,
    }
    return {"generation_config.json": json.dumps(generation, indent=2).encode()}


def _write_json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _some(names: Iterable[str], limit: int = 5) -> str:
    """The first few of a list, and how many more."""
    names = sorted(names)
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
