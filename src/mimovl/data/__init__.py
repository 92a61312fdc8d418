"""Samples in, packed batches out: tokens, pictures, positions, mixtures."""

from mimovl.data.chat_template import NO_THINK, ChatTemplate, answer_of, ask_without_thinking, chatml, think
from mimovl.data.image import ImageSettings, image_size, open_image, patchify, smart_resize
from mimovl.data.loader import LoaderState, PackedLoader, indices_by_source
from mimovl.data.mixture import Mixture
from mimovl.data.pack_index import PackerState, WindowPacker, pack
from mimovl.data.packing import collate
from mimovl.data.positions import VisualSpan, mrope_positions
from mimovl.data.processor import Encoded, Processor
from mimovl.data.tokenizer import SPECIAL_TOKENS, Tokenizer, train_tokenizer
from mimovl.data.video import Clip, open_video
from mimovl.data.video_sampling import MIMO_VL_VIDEO, VideoSettings

__all__ = [
    "MIMO_VL_VIDEO",
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
    "PackerState",
    "Processor",
    "Tokenizer",
    "VideoSettings",
    "VisualSpan",
    "WindowPacker",
    "answer_of",
    "ask_without_thinking",
    "chatml",
    "collate",
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
