"""The model: patches and tokens in, logits out; Hugging Face folders in, Hugging Face folders out."""

from .attention import Attention, PackedAttention, Segments
from .config import PRESETS, LanguageConfig, ModelConfig, VisionConfig, preset
from .hf_checkpoint import load_checkpoint, read_config, save_checkpoint
from .vlm import VisionLanguageModel, build_model, initialise

__all__ = [
    "PRESETS",
    "Attention",
    "LanguageConfig",
    "ModelConfig",
    "PackedAttention",
    "Segments",
    "VisionConfig",
    "VisionLanguageModel",
    "build_model",
    "initialise",
    "load_checkpoint",
    "preset",
    "read_config",
    "save_checkpoint",
]
