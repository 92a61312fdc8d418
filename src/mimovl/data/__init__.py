"""Samples in, packed batches out: tokens, pictures, positions, mixtures."""

from .chat_template import NO_THINK, ChatTemplate, answer_of, ask_without_thinking, chatml, think
from .image import ImageSettings, image_size, open_image, patchify, smart_resize
from .loader import LoaderState, PackedLoader, indices_by_source
from .mixture import Mixture
from .packing import collate, fill, pack
from .positions import VisualSpan, mrope_positions
from .processor import Encoded, Processor
from .tokenizer import SPECIAL_TOKENS, Tokenizer, train_tokenizer
from .video import Clip, VideoSettings, open_video

__all__ = [
    "NO_THINK",
    "SPECIAL_TOKENS",
    "ChatTemplate",
    "Clip",
    "Encoded",
    "LoaderState",
    "PackedLoader",
    "indices_by_source",
    "ImageSettings",
    "Mixture",
    "Processor",
    "Tokenizer",
    "VideoSettings",
    "VisualSpan",
    "answer_of",
    "ask_without_thinking",
    "chatml",
    "collate",
    "fill",
    "image_size",
    "mrope_positions",
    "open_image",
    "open_video",
    "pack",
    "patchify",
    "smart_resize",
    "think",
    "train_tokenizer",
]
