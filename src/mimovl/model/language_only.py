"""A language model alone, MiMo-7B or another of Qwen2's layout, as one of ours with an empty vision tower.

The tower is never run. What needs no pictures, such as a text reward model (MiMo-VL §3.2), is then trained, saved and
read like everything else.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from mimovl.errors import CheckpointError
from mimovl.model.assemble import checked_tensor, decoder_config, decoder_tensors
from mimovl.model.hf_checkpoint import hf_name
from mimovl.model.shards import open_shard
from mimovl.model.vlm import VisionLanguageModel, build_model

__all__ = ["load_language_model"]

_EMPTY_TOWER = {
    "depth": 0,
    "hidden_size": 4,
    "intermediate_size": 4,
    "num_heads": 1,
    "fullatt_block_indexes": [],
}


def load_language_model(
    path: str | Path, *, dtype: torch.dtype = torch.float32, image_token_id: int, video_token_id: int
) -> VisionLanguageModel:
    """Load a decoder from a Hugging Face folder; layers that predict further tokens are left out.

    Args:
        path: the folder; ``model_type`` mimo or qwen2.
        dtype: of the parameters.
        image_token_id: of its tokenizer; Qwen2.5's has one, though the model never saw it.
        video_token_id: likewise.

    Raises:
        CheckpointError: another architecture; a tensor is missing, misshapen, unknown or quantised; names it.
    """
    folder = Path(path)
    config = replace(
        decoder_config(folder, _EMPTY_TOWER), extra={}, image_token_id=image_token_id, video_token_id=video_token_id
    )
    model = build_model(config, seed=0).to(dtype)
    stored = decoder_tensors(folder, config, {})
    missing = []
    with torch.no_grad():
        for name, parameter in model.language.named_parameters():
            published = hf_name(f"language.{name}")
            if published not in stored:
                missing.append(published)
                continue
            tensor = checked_tensor(stored.pop(published), tuple(parameter.shape), folder)
            with open_shard(tensor.file) as shard:
                parameter.copy_(shard.get_tensor(tensor.name))
    if missing or stored:
        what = f"lacks {len(missing)} tensors, {missing[0]}" if missing else f"holds {next(iter(stored))}"
        raise CheckpointError(f"{folder} {what}, unlike a decoder of its config.json; copy the whole checkpoint")
    return model
