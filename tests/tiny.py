"""A checkpoint small enough to train in a second, whose tokenizer knows the embedded world."""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from pathlib import Path

import torch

from mimovl.curate.world import WorldConfig, build_item, to_questions, to_training_sample
from mimovl.data import ChatTemplate, Encoded, Processor, Tokenizer, chatml, collate, train_tokenizer
from mimovl.model import LanguageConfig, ModelConfig, VisionConfig, VisionLanguageModel, build_model, save_checkpoint
from mimovl.train import StageConfig
from mimovl.types import PackedBatch, Sample

WORLD = WorldConfig(chinese_share=0, clip_seconds=(4, 6), clip_event_seconds=(1, 3))
SPOKEN = ("world/caption", "world/counting", "world/grounding", "world/attributes", "world/clip", "world/arithmetic")


class Samples(list[Sample]):
    """A dataset in memory, as the trainer sees it."""

    @property
    def sources(self) -> list[str]:
        return [sample.source for sample in self]


@functools.cache
def samples(source: str, count: int, *, thinking_share: float = 0.3, turns: int = 3) -> Samples:
    """Training conversations of one source of the world."""
    items = (build_item(source, seed=3, index=index, split="train", config=WORLD) for index in range(count))
    return Samples(
        to_training_sample(item, rng=random.Random(number), thinking_share=thinking_share, max_turns=turns)
        for number, item in enumerate(items)
    )


@functools.cache
def questions(source: str, count: int) -> list[Sample]:
    """Held-out questions of one source, one an item."""
    items = (build_item(source, seed=4, index=index, split="heldout", config=WORLD) for index in range(count))
    return [to_questions(item)[0] for item in items]


@functools.cache
def tokenizer() -> Tokenizer:
    """About 400 tokens, learned from a few conversations of the world."""
    template = ChatTemplate(chatml())
    return train_tokenizer([template.render(s.messages) for source in SPOKEN for s in samples(source, 8)], 420)


def config() -> ModelConfig:
    """Two vision blocks (windows, frame), two decoder layers, grouped queries, unequal rotary sections."""
    return processor().config


@functools.cache
def processor() -> Processor:
    shape = ModelConfig(
        vision=VisionConfig(depth=2, hidden_size=32, intermediate_size=44, num_heads=2, full_attention_blocks=(1,)),
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
        ),
        text_after_video="spatial",
    )
    return Processor.fresh(tokenizer(), shape)


def model(seed: int = 0, *, sharp: float = 1.0) -> VisionLanguageModel:
    """A fresh model; ``sharp`` scales its output head, so that its choices are far apart."""
    built = build_model(config(), seed=seed)
    with torch.no_grad():
        built.language.lm_head.weight.mul_(sharp)
    return built


def checkpoint(folder: Path, built: VisionLanguageModel | None = None) -> Path:
    """A Hugging Face folder of a model, by default a fresh one."""
    return save_checkpoint(built or model(), folder, side_files=processor().files())


def batch(encoded: Sequence[Encoded]) -> PackedBatch:
    """Samples in one pack."""
    return collate(encoded, visual_token_ids=(config().image_token_id, config().video_token_id))


def stage(**changes: object) -> StageConfig:
    """A few steps over pictures, clips and text in which everything learns."""
    values: dict[str, object] = {
        "name": "general",
        "train": ["vision", "projector", "language"],
        "learning_rate": {"vision": 1e-3, "projector": 2e-3, "language": 3e-3},
        "mixture": {"world/counting": 2, "world/clip": 1, "world/arithmetic": 1},
        "steps": 6,
        "length": 256,
        **changes,
    }
    return StageConfig.model_validate({key: value for key, value in values.items() if value is not None})


def mixed() -> Samples:
    """What :func:`stage` draws from."""
    return Samples(s for source in ("world/counting", "world/clip", "world/arithmetic") for s in samples(source, 12))
