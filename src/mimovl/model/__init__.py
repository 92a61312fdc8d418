"""The model: patches and tokens in, logits out; Hugging Face folders in, Hugging Face folders out."""

from mimovl.model.attention import FLASH_DTYPES, Attention, PackedAttention, Segments, flash_attention, flash_takes
from mimovl.model.config import PRESETS, LanguageConfig, ModelConfig, VisionConfig, preset
from mimovl.model.hf_checkpoint import load_checkpoint, read_config, save_checkpoint
from mimovl.model.induction import start_with_induction
from mimovl.model.numbers import (
    CODE_SIZE,
    number_code,
    number_directions,
    start_with_number_readers,
    start_with_numbers,
)
from mimovl.model.reward_head import HEAD_FILE, RewardNetwork, load_reward_network
from mimovl.model.vlm import TokenShare, VisionLanguageModel, build_model, initialise

__all__ = [
    "FLASH_DTYPES",
    "CODE_SIZE",
    "HEAD_FILE",
    "PRESETS",
    "Attention",
    "LanguageConfig",
    "ModelConfig",
    "PackedAttention",
    "RewardNetwork",
    "Segments",
    "TokenShare",
    "VisionConfig",
    "VisionLanguageModel",
    "build_model",
    "flash_attention",
    "flash_takes",
    "initialise",
    "load_checkpoint",
    "load_reward_network",
    "number_code",
    "number_directions",
    "preset",
    "read_config",
    "save_checkpoint",
    "start_with_induction",
    "start_with_number_readers",
    "start_with_numbers",
]
