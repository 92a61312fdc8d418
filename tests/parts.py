"""Small checkpoints of exactly the layouts that a MiMo-VL is put together from, written by ``transformers`` itself."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mimovl.data import Tokenizer
from tests.data import small

SYSTEM = "You are MiMo, an AI assistant developed by Xiaomi."
QWEN_VOCABULARY, MIMO_VOCABULARY = 448, 440
"""Rows of the embeddings; both are more than the tokenizer needs, as in the published checkpoints."""


def qwen(folder: Path, *, shard_size: str = "50GB", seed: int = 3, vision: Any = None, text: Any = None) -> Path:
    """A Qwen2.5-VL folder: another decoder and another projector than the result will have."""
    transformers = _transformers()
    tokenizer = small.tokenizer()
    ends = {"bos_token_id": tokenizer.end_of_text, "eos_token_id": tokenizer.im_end}
    tower = {
        "depth": 3,
        "hidden_size": 32,
        "intermediate_size": 44,
        "num_heads": 2,
        "fullatt_block_indexes": [1],
        "out_hidden_size": 48,
        "tokens_per_second": 2,
        **(vision or {}),
    }
    config = transformers.Qwen2_5_VLConfig(
        vision_config=tower,
        text_config={
            "hidden_size": tower["out_hidden_size"],
            "intermediate_size": 80,
            "num_hidden_layers": 1,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "vocab_size": QWEN_VOCABULARY,
            **ends,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 2, 2]},
            **(text or {}),
        },
        image_token_id=tokenizer.id("<|image_pad|>"),
        video_token_id=tokenizer.id("<|video_pad|>"),
        vision_start_token_id=tokenizer.id("<|vision_start|>"),
        vision_end_token_id=tokenizer.id("<|vision_end|>"),
    )
    return _save(transformers.Qwen2_5_VLForConditionalGeneration, config, folder, shard_size, seed, _qwen_files())


def mimo(
    folder: Path, *, shard_size: str = "50GB", seed: int = 4, tokenizer: Tokenizer | None = None, **text: Any
) -> Path:
    """A MiMo-7B-Base folder: Qwen2 layers, and one layer that predicts further tokens, under the released names."""
    _transformers()
    values = {
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": MIMO_VOCABULARY,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 640_000.0},
        "max_position_embeddings": 32_768,
        "num_nextn_predict_layers": 1,
        "tie_word_embeddings": False,
        **text,
    }
    config = mimo_classes()[0](**values)
    files = (tokenizer or small.tokenizer()).files
    template = {"chat_template": "{{ 'text only' }}"}
    settings = json.dumps({**json.loads(files["tokenizer_config.json"]), **template}).encode()
    return _save(mimo_classes()[1], config, folder, shard_size, seed, {**files, "tokenizer_config.json": settings})


def released(folder: Path) -> Path:
    """The configuration in the words of the released checkpoints (transformers 4) instead of those of version 5."""
    file = folder / "config.json"
    table = json.loads(file.read_text())
    text = table.pop("text_config", None)
    if text:  # Qwen2.5-VL is flat there
        table = {**{key: value for key, value in text.items() if key != "model_type"}, **table}
    rope = table.pop("rope_parameters")
    section = rope.get("mrope_section")
    table["rope_theta"] = rope["rope_theta"]
    table["rope_scaling"] = {"type": "mrope", "mrope_section": section} if section else None
    table["torch_dtype"] = table.pop("dtype", "float32")
    table.pop("layer_types", None)
    file.write_text(json.dumps({**table, "transformers_version": "4.40.1"}, indent=2))
    return folder


def mimo_classes() -> tuple[Any, Any]:
    """Configuration and model as ``modeling_mimo.py`` of the release has them, on today's Qwen2 classes."""
    if not _CLASSES:
        _define()
    return _CLASSES[0], _CLASSES[1]


_CLASSES: list[Any] = []


def _define() -> None:
    from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2Model
    from transformers.models.qwen2.modeling_qwen2 import Qwen2Attention, Qwen2MLP, Qwen2RMSNorm

    class MiMoConfig(Qwen2Config):  # type: ignore[misc]
        model_type = "mimo"
        num_nextn_predict_layers: int = 0

    class MiMoMTPLayers(nn.Module):
        def __init__(self, config: Any) -> None:
            super().__init__()
            for name in ("input", "post_attention", "token", "hidden", "final"):
                setattr(self, f"{name}_layernorm", Qwen2RMSNorm(config.hidden_size, eps=config.rms_norm_eps))
            self.input_proj = nn.Linear(config.hidden_size * 2, config.hidden_size, bias=False)
            self.self_attn = Qwen2Attention(config, layer_idx=0)
            self.mlp = Qwen2MLP(config)

    class MiMoModel(Qwen2Model):  # type: ignore[misc]
        config_class = MiMoConfig

        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.mtp_layers = nn.ModuleList([MiMoMTPLayers(config) for _ in range(config.num_nextn_predict_layers)])
            self.post_init()

    class MiMoForCausalLM(Qwen2ForCausalLM):  # type: ignore[misc]
        config_class = MiMoConfig

        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.model = MiMoModel(config)
            self.post_init()

    _CLASSES.extend((MiMoConfig, MiMoForCausalLM))


def _qwen_files() -> dict[str, bytes]:
    """Side files of a vision-language checkpoint: tokenizer, template, and processor settings of its own."""
    from dataclasses import replace

    processor = small.processor()
    return replace(processor, image=replace(processor.image, max_pixels=12_845_056)).files()


def _save(kind: Any, config: Any, folder: Path, shard_size: str, seed: int, files: dict[str, bytes]) -> Path:
    """Every parameter random, biases and norms too, so that none can be lost unnoticed."""
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not ours to mend
        model = kind(config)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim == 1:
                    parameter.add_(0.2 * torch.randn(parameter.shape))
        model.save_pretrained(folder, max_shard_size=shard_size)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def _transformers() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import transformers

        return transformers
