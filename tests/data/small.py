"""A model small enough to run in milliseconds, its processor, and samples to feed it."""

from __future__ import annotations

import functools
import hashlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from mimovl.data import Encoded, Processor, Tokenizer, collate, think, train_tokenizer
from mimovl.model import LanguageConfig, ModelConfig, VisionConfig, VisionLanguageModel, build_model
from mimovl.types import Media, Message, PackedBatch, Part, Sample

CORPUS = (
    "How many red circles are there? There are 3 red circles and 12 blue squares.",
    "Describe the picture. The large green star is at the top left of the small orange cross.",
    'Where is it? [{"bbox_2d":[10,20,50,60],"label":"red circle"}] [00:03,00:07] don\'t we\'ll',
    "有多少个红色的圆？图中有三个红色的圆和两个蓝色的方块。\n\n    def f(x):\n\t\treturn x + 1\r\n",
)


@functools.cache
def tokenizer() -> Tokenizer:
    """Trained on ``CORPUS``; about 400 tokens."""
    return train_tokenizer([text for text in CORPUS for _ in range(3)], 420)


def config(*, tie_embeddings: bool = False, text_after_video: Any = "maximum", **vision: Any) -> ModelConfig:
    """Three vision blocks (windows, frame, windows), two decoder layers, grouped queries, unequal rotary sections."""
    return processor(tie_embeddings=tie_embeddings, text_after_video=text_after_video, **vision).config


def processor(*, tie_embeddings: bool = False, text_after_video: Any = "maximum", **vision: Any) -> Processor:
    shape = ModelConfig(
        vision=VisionConfig(
            **{
                "depth": 3,
                "hidden_size": 32,
                "intermediate_size": 44,
                "num_heads": 2,
                "full_attention_blocks": (1,),
                **vision,
            }
        ),
        language=LanguageConfig(
            num_layers=2,
            hidden_size=64,
            intermediate_size=96,
            num_heads=4,
            num_kv_heads=2,
            vocab_size=1,
            mrope_section=(2, 3, 3),
            rope_theta=10_000.0,
            max_position=2048,
            tie_embeddings=tie_embeddings,
        ),
        text_after_video=text_after_video,
    )
    return Processor.fresh(tokenizer(), shape)


def model(seed: int = 0, *, dtype: torch.dtype = torch.float32, **settings: Any) -> VisionLanguageModel:
    """Every parameter random, biases and norms too, so that none can be lost unnoticed."""
    return random_biases(build_model(config(**settings), seed=seed), seed + 1).to(dtype)


@torch.no_grad()
def random_biases(built: VisionLanguageModel, seed: int = 0) -> VisionLanguageModel:
    """Random biases and norms for a fresh model, and an output head that gives logits of order 3."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in built.parameters():
        if parameter.ndim == 1:
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    built.language.lm_head.weight.mul_(8)
    return built


# ---------------------------------------------------------------- media and samples


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """A picture in which every pixel differs."""
    values = np.random.default_rng([seed, width, height]).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def picture(width: int, height: int, seed: int = 0) -> Media:
    data = encoded(noise(width, height, seed))
    return Media(hashlib.sha256(data).hexdigest(), "image", data, width, height)


def clip(num_frames: int, fps: float, width: int = 56, height: int = 56, seed: int = 0) -> Media:
    """An animated PNG of noise."""
    frames = [noise(width, height, 1000 * seed + number) for number in range(num_frames)]
    data = encoded(frames[0], save_all=True, append_images=frames[1:], duration=1000 / fps)
    return Media(hashlib.sha256(data).hexdigest(), "video", data, width, height, num_frames, fps)


def user(text: str, *media: Media) -> Message:
    return Message("user", (*(Part(item.kind, media=item.sha256) for item in media), Part("text", text=text)))


def assistant(text: str) -> Message:
    return Message("assistant", (Part("text", text=text),))


def conversation(
    *media: Media, id: str = "s", question: str = "How many red circles?", answer: str = think("", "12")
) -> Sample:
    """One question about all of the media, and its answer."""
    return Sample(id, (user(question, *media), assistant(answer)), {item.sha256: item for item in media}, source="test")


def batch(samples: Sequence[Encoded], settings: ModelConfig | None = None) -> PackedBatch:
    settings = settings or config()
    return collate(samples, visual_token_ids=(settings.image_token_id, settings.video_token_id))
