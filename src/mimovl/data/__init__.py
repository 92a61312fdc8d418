"""Samples in, packed batches out: tokens, pictures, positions, mixtures."""

from mimovl.data.chat_template import NO_THINK, ChatTemplate, answer_of, ask_without_thinking, chatml, think
from mimovl.data.image import ImageSettings, image_size, open_image, patchify, smart_resize
from mimovl.data.lengths import LengthIndex, build_index, count_tokens, find_index
from mimovl.data.loader import PackedLoader, indices_by_source, side_by_side
from mimovl.data.loader_state import Dropped, LoaderState, reshard
from mimovl.data.mixture import Mixture
from mimovl.data.pack_index import PackerState, WindowPacker, pack
from mimovl.data.packing import collate
from mimovl.data.pair_folder import PairFolder, write_pairs
from mimovl.data.positions import VisualSpan, mrope_positions
from mimovl.data.preference import TIE, WINS, Preference, PreferenceProcessor, with_answer
from mimovl.data.processor import Encoded, Processor
from mimovl.data.stream import SampleFolders, open_folder
from mimovl.data.tokenizer import SPECIAL_TOKENS, Tokenizer, train_tokenizer
from mimovl.data.video import Clip, open_video
from mimovl.data.video_sampling import MIMO_VL_VIDEO, VideoSettings

__all__ = [
    "MIMO_VL_VIDEO",
    "NO_THINK",
    "SPECIAL_TOKENS",
    "TIE",
    "WINS",
    "SampleFolders",
    "ChatTemplate",
    "Clip",
    "Dropped",
    "Encoded",
    "LengthIndex",
    "LoaderState",
    "PackedLoader",
    "indices_by_source",
    "ImageSettings",
    "Mixture",
    "PackerState",
    "PairFolder",
    "Preference",
    "PreferenceProcessor",
    "Processor",
    "Tokenizer",
    "VideoSettings",
    "VisualSpan",
    "WindowPacker",
    "answer_of",
    "ask_without_thinking",
    "chatml",
    "build_index",
    "collate",
    "count_tokens",
    "find_index",
    "image_size",
    "mrope_positions",
    "open_folder",
    "open_image",
    "open_video",
    "pack",
    "patchify",
    "reshard",
    "side_by_side",
    "smart_resize",
    "think",
    "train_tokenizer",
    "with_answer",
    "write_pairs",
]
