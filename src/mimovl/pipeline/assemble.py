"""``mimovl init``: a MiMo-VL checkpoint from a Qwen2.5-VL and a MiMo-7B one, ready for stage 1 and for other engines.

    CKPT/  config.json  generation_config.json  model-*.safetensors  tokenizer, template and processor files

The folder appears whole or not at all. Before it does, every tensor is read back and compared with what was written,
and the folder is opened as training opens it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from mimovl.atomic import AtomicDirectory
from mimovl.data import ChatTemplate, Processor, chatml
from mimovl.data.merged_tokenizer import MergedTokenizer, merge_tokenizer
from mimovl.errors import CheckpointError, UsageError
from mimovl.model import ModelConfig, read_config
from mimovl.model.assemble import AssembledPart, assemble_weights, assembled_config
from mimovl.model.hf_checkpoint import SHARD_BYTES, default_files, read_side_files

__all__ = ["SYSTEM", "assemble_checkpoint"]

SYSTEM = "You are MiMo, an AI assistant developed by Xiaomi."
"""System prompt of MiMo-VL (LLaMA-Factory's ``mimo_vl`` template, and the 2508 model card). Its exact Jinja is not
published: ours writes ChatML with parts in their order."""

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def assemble_checkpoint(
    vision: Path | str,
    language: Path | str,
    out: Path | str,
    *,
    seed: int = 0,
    dtype: str = "bf16",
    shard_bytes: int = SHARD_BYTES,
    progress: Callable[[int, int], None] | None = None,
) -> str:
    """Make a checkpoint folder.

    Args:
        vision: a Qwen2.5-VL folder: its tower, the ids of its vision tokens, its processor settings.
        language: a MiMo-7B folder: its decoder and its tokenizer.
        out: the folder to make.
        seed: draws the projector.
        dtype: of the stored weights: bf16, fp16 or fp32.
        shard_bytes: largest file of weights.
        progress: told the bytes of weights written so far and in all.

    Returns:
        What was taken from where and what was left out, in lines.

    Raises:
        CheckpointError: a folder cannot be used, the two do not go together, or the disk has no room.
        UsageError: ``out`` is in use, or there is no such type.
    """
    vision, language, out = Path(vision), Path(language), Path(out)
    if dtype not in _DTYPES:
        raise UsageError(f"--dtype {dtype}: weights are stored as {', '.join(_DTYPES)}")
    if shard_bytes < 1:
        raise UsageError(f"a file of {shard_bytes} bytes holds no weights; give a larger size")
    config = assembled_config(vision, language)
    side, merged = _side_files(vision, language, config)
    processor = Processor.from_files(side, _with_ids(config, merged), where=str(out))
    config = processor.config
    with AtomicDirectory(out) as folder:
        parts = assemble_weights(
            vision,
            language,
            config,
            folder.temporary,
            seed=seed,
            dtype=_DTYPES[dtype],
            shard_bytes=shard_bytes,
            progress=progress,
        )
        table = {**config.to_hf(), "torch_dtype": str(_DTYPES[dtype]).removeprefix("torch.")}
        files = {**side, **default_files(config), "config.json": json.dumps(table, indent=2).encode() + b"\n"}
        for name, data in files.items():
            (folder.temporary / name).write_bytes(data)
        _check(folder.temporary, config, files)
        size = sum(file.stat().st_size for file in folder.temporary.glob("*.safetensors"))
        shards = len(list(folder.temporary.glob("*.safetensors")))
    return _summary(out, parts, merged, dtype, size, shards)


def _side_files(vision: Path, language: Path, config: ModelConfig) -> tuple[dict[str, bytes], MergedTokenizer]:
    """Tokenizer of the language model, processor settings of the vision model, and the template."""
    theirs = read_side_files(vision)
    merged = merge_tokenizer(
        read_side_files(language), theirs, config.language.vocab_size, where=(str(language), str(vision))
    )
    seen = Processor.from_files(theirs, read_config(vision), where=str(vision))
    template = ChatTemplate(chatml(SYSTEM))
    return Processor(merged.tokenizer, template, _with_ids(config, merged), seen.image, seen.video).files(), merged


def _with_ids(config: ModelConfig, merged: MergedTokenizer) -> ModelConfig:
    """The configuration with the ends of turns and of texts as the tokenizer numbers them."""
    tokenizer = merged.tokenizer
    return config.with_vocabulary(
        config.language.vocab_size, eos_token_id=tokenizer.im_end, pad_token_id=tokenizer.end_of_text
    )


def _check(folder: Path, config: ModelConfig, files: Mapping[str, bytes]) -> None:
    """Open the small files as training opens them; the weights have been compared as they were written."""
    for name, data in files.items():
        if (folder / name).read_bytes() != data:
            raise CheckpointError(f"{folder / name} reads back differently; the disk is not to be trusted")
    if read_config(folder) != config:
        raise CheckpointError(f"{folder / 'config.json'} reads back as another shape than it was written for")
    Processor.load(folder)


def _summary(
    out: Path, parts: Mapping[str, AssembledPart], merged: MergedTokenizer, dtype: str, size: int, shards: int
) -> str:
    tensors, parameters = (sum(getattr(part, field) for part in parts.values()) for field in ("tensors", "parameters"))
    files = "1 file" if shards == 1 else f"{shards} files"
    lines = [f"{out}: {parameters:,} parameters in {tensors} tensors, {dtype}, {size:,} bytes in {files}"]
    for name, part in parts.items():
        lines.append(f"  {name:<10} {part.parameters:>13,} parameters in {part.tensors:>3} tensors, {part.origin}")
    if left_out := parts["language"].left_out:
        lines.append(
            f"  left out   {sum(left_out.values()):>13,} parameters in {len(left_out):>3} tensors: the layers that "
            "predict further tokens (model.mtp_layers); MiMo-VL has none"
        )
    if merged.added:
        lines.append(f"  tokens     added to the tokenizer, untrained rows of the embedding: {', '.join(merged.added)}")
    else:
        lines.append("  tokens     the language model's tokenizer has all vision tokens under their published ids")
    lines.append("  checked    every tensor and file was read back and compared")
    return "\n".join(lines)
