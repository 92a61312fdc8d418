"""The base step: a tokenizer, a vision tower and a language model of our own, each trained on one core at once.

The published recipe starts from Qwen2.5-ViT and MiMo-7B; the tiny one from these. The vision tower learns dense
attributes with a throwaway head, the language model next tokens of text, worked arithmetic and pictures described in
words. The projector is not trained: every run draws its own, as the report does.

    DIR/base/model/     Hugging Face folder, half precision (package data of the tiny recipe)
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import time
from collections.abc import Iterator
from contextlib import closing
from multiprocessing.connection import wait
from pathlib import Path

import torch
from torch import nn

from mimovl.curate.world import WorldConfig, WorldItem, build_item
from mimovl.curate.world.gui import LABELS
from mimovl.data import ChatTemplate, ImageSettings, Processor, Tokenizer, chatml, patchify, train_tokenizer
from mimovl.errors import MimovlError
from mimovl.model import (
    ModelConfig,
    VisionLanguageModel,
    build_model,
    load_checkpoint,
    preset,
    save_checkpoint,
    start_with_induction,
)
from mimovl.pipeline.attribute_reader import AttributeModel, AttributeProcessor, with_attributes
from mimovl.pipeline.config import BaseConfig, VisionBaseConfig
from mimovl.pipeline.data import WorldSamples, with_chains
from mimovl.pipeline.progress import StepProgress
from mimovl.train import MetricsLog, Optimizer, learning_rate_factor, train_stage
from mimovl.train.checkpoint import resume_training, save_training
from mimovl.train.config import StageConfig
from mimovl.train.vision_base import AttributeHead, PatchTargets, Region, patch_targets, target_sizes
from mimovl.types import Sample

__all__ = ["build_base", "vocabulary_config"]

ENDLESS = 10**6
"""Items of each source of the base's endless data."""
VOCABULARY = {
    "kind": ("none", "shape", "button", "checkbox", "field", "title"),
    "shape": ("circle", "square", "triangle", "star", "cross"),
    "colour": ("red", "green", "blue", "yellow", "purple", "orange"),
    "size": ("small", "large"),
    "label": tuple(LABELS),
}
"""What a patch can be said to be."""


def vocabulary_config(config: ModelConfig, tokenizer: Tokenizer) -> ModelConfig:
    """A model configuration fitted to a tokenizer."""
    return config.with_vocabulary(
        len(tokenizer),
        image_token_id=tokenizer.id("<|image_pad|>"),
        video_token_id=tokenizer.id("<|video_pad|>"),
        vision_start_token_id=tokenizer.id("<|vision_start|>"),
        vision_end_token_id=tokenizer.id("<|vision_end|>"),
        eos_token_id=tokenizer.im_end,
        pad_token_id=tokenizer.end_of_text,
    )


def build_base(
    config: BaseConfig, world: WorldConfig, model_preset: str, folder: Path, *, seed: int, progress: StepProgress
) -> Path:
    """Train both parts and write them as one checkpoint.

    Args:
        config: tokenizer, vision tower and language model.
        world: what the embedded world draws.
        model_preset: shapes.
        folder: DIR/base.
        seed: of data and weights.
        progress: shows both parts.

    Returns:
        The checkpoint folder.
    """
    target = folder / "model"
    if (folder / "done.json").is_file():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    progress.update(0, 1, "tokenizer")
    _tokenizer(config, world, folder, seed)
    context = multiprocessing.get_context("spawn")
    workers = {
        name: context.Process(target=worker, args=(config, world, model_preset, folder, seed), name=name)
        for name, worker in (("vision", _vision_worker), ("language", _language_worker))
    }
    for worker in workers.values():
        worker.start()
    try:
        while running := [worker.sentinel for worker in workers.values() if worker.is_alive()]:
            wait(running, timeout=2)
            _report(config, folder, progress)
            if any(worker.exitcode for worker in workers.values()):
                break
        for name, worker in workers.items():
            if worker.exitcode:
                raise MimovlError(
                    f"the base {name} part stopped with exit code {worker.exitcode}; its message is above"
                )
    finally:
        for worker in workers.values():
            worker.terminate()
            worker.join()
    tokenizer = Tokenizer.from_folder(folder / "tokenizer")
    model = load_checkpoint(folder / _language_stages(config)[-1].name / "model")
    model.vision.load_state_dict(torch.load(folder / "vision" / "vision.pt"))
    save_checkpoint(model, target, dtype=torch.float16)
    done = {"seconds": time.monotonic() - started, "vocabulary": len(tokenizer), "parameters": model.num_parameters()}
    partial = folder / ".done.json.partial"
    partial.write_text(json.dumps(done, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, folder / "done.json")
    return target


def _report(config: BaseConfig, folder: Path, progress: StepProgress) -> None:
    """One bar for both parts: the mean of their shares."""
    shares, texts = [], []
    parts = {
        "vision": [(folder / "vision", config.vision.steps)],
        "language": [(folder / stage.name, stage.steps) for stage in _language_stages(config)],
    }
    for name, steps in parts.items():
        done, loss = 0.0, float("nan")
        for path, _ in steps:
            log = path / "metrics.jsonl"
            lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
            try:
                last = json.loads(lines[-1]) if lines else {"step": 0, "loss": loss}
            except ValueError:
                return  # caught in the middle of a line
            done, loss = done + last["step"], last["loss"]
        shares.append(done / sum(count for _, count in steps))
        texts.append(f"{name} {loss:.3f}")
    progress.update(sum(shares) / 2, 1, "  ".join(texts))


def _language_stages(config: BaseConfig) -> list[StageConfig]:
    """Every stage of the language model, in order."""
    return [*config.language, *([config.reading] if config.reading else [])]


def _corpus(config: BaseConfig, world: WorldConfig, seed: int) -> WorldSamples:
    counts = dict.fromkeys((source for stage in config.language for source in stage.mixture), ENDLESS)
    chains = with_chains(world, config.chain_weight)
    return WorldSamples(counts, chains, seed=seed, thinking_share=config.thinking_share, turns=6, as_text=True)


def _tokenizer(config: BaseConfig, world: WorldConfig, folder: Path, seed: int) -> None:
    """Learn the tokenizer from a sample of the language model's own diet."""
    if (folder / "tokenizer" / "tokenizer.json").is_file():
        return
    samples = _corpus(config, world, seed)
    template = ChatTemplate(chatml())
    rng = random.Random(seed)
    sources = list(dict.fromkeys(samples.sources))
    weights = [config.language[-1].mixture.get(source, 1.0) for source in sources]
    texts = []
    for _ in range(config.tokenizer.samples):
        source = rng.choices(range(len(weights)), weights)[0]
        texts.append(template.render(samples[source * ENDLESS + rng.randrange(ENDLESS)].messages))
    tokenizer = train_tokenizer(texts, config.tokenizer.vocab_size)
    (folder / "tokenizer").mkdir(parents=True, exist_ok=True)
    for name, data in tokenizer.files.items():
        if name != "tokenizer.json":
            (folder / "tokenizer" / name).write_bytes(data)
    (folder / "tokenizer" / "tokenizer.json").write_bytes(tokenizer.files["tokenizer.json"])


def _language_worker(config: BaseConfig, world: WorldConfig, model_preset: str, folder: Path, seed: int) -> None:
    torch.set_num_threads(1)
    tokenizer = Tokenizer.from_folder(folder / "tokenizer")
    shape = vocabulary_config(preset(model_preset), tokenizer)
    processor = Processor.fresh(tokenizer, shape)
    model = build_model(shape, seed=seed)
    start_with_induction(model.language, seed=seed)
    corpus = _corpus(config, world, seed)
    for stage in config.language:
        model = train_stage(model, processor, corpus, stage, folder / stage.name, seed=seed)
    if config.reading:
        _learn_to_read(model, processor, config, config.reading, world, folder, seed)


def _learn_to_read(
    model: VisionLanguageModel,
    processor: Processor,
    config: BaseConfig,
    stage: StageConfig,
    world: WorldConfig,
    folder: Path,
    seed: int,
) -> None:
    """Train the decoder on pictures given by their attributes; the embedding of those is thrown away."""
    torch.manual_seed(seed)
    reader = AttributeModel(model.config, VOCABULARY)
    reader.load_state_dict(model.state_dict(), strict=False)
    reading = AttributeProcessor(
        processor.tokenizer,
        processor.template,
        processor.config,
        processor.image,
        processor.video,
        num_attributes=len(target_sizes(VOCABULARY)),
    )
    samples = _Attributed(
        dict.fromkeys(stage.mixture, ENDLESS),
        with_chains(world, config.chain_weight),
        seed=seed + 1,
        thinking_share=config.thinking_share,
        turns=6,
    )
    train_stage(reader, reading, samples, stage, folder / stage.name, seed=seed)


class _Attributed(WorldSamples):
    """Samples whose pictures are given by their attributes."""

    def __getitem__(self, index: int) -> Sample:
        item, sample = self.make(index)
        return with_attributes(sample, item, VOCABULARY)


# ---------------------------------------------------------------- vision


def _vision_worker(config: BaseConfig, world: WorldConfig, model_preset: str, folder: Path, seed: int) -> None:
    torch.set_num_threads(1)
    out = folder / "vision"
    if (out / "vision.pt").is_file():
        return
    model: VisionLanguageModel = build_model(preset(model_preset), seed=seed)
    _train_vision(model, config.vision, world, out, seed)


def _train_vision(
    model: VisionLanguageModel, config: VisionBaseConfig, world: WorldConfig, out: Path, seed: int
) -> None:
    tower = model.vision
    torch.manual_seed(seed)
    head = AttributeHead(model.config.vision.hidden_size, VOCABULARY)
    rates = {"vision": config.learning_rate, "head": config.head_learning_rate}
    optimizer = Optimizer({"vision": tower, "head": head}, rates, config.optimizer)
    modules: dict[str, nn.Module] = {"vision": tower, "head": head}
    step = (resume_training(out, modules, optimizer) or {"step": 0})["step"]
    batches = _annotated(config, world, seed, step)
    saved = started = time.monotonic()
    with closing(MetricsLog(out / "metrics.jsonl", step=step)) as log:
        while step < config.steps:
            patches, grid, targets = next(batches)
            loss, accuracy = head(tower(patches, grid), targets)
            loss.backward()
            factor = learning_rate_factor(
                step, config.steps, warmup=config.warmup, schedule="cosine", final=config.final
            )
            norm = optimizer.step(factor)
            step += 1
            log.write(
                step=step,
                steps=config.steps,
                loss=float(loss.detach()),
                accuracy=accuracy,
                grad_norm=norm,
                images=step * config.pictures,
                seconds=time.monotonic() - started,
            )
            if time.monotonic() - saved > config.save_seconds and step < config.steps:
                save_training(out, modules, optimizer, {"step": step})
                saved = time.monotonic()
    torch.save(tower.state_dict(), out / "vision.partial")
    (out / "vision.partial").replace(out / "vision.pt")


def _annotated(
    config: VisionBaseConfig, world: WorldConfig, seed: int, start: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor, PatchTargets]]:
    """Batches of annotated pictures: patches, grids, targets; batch number ``start`` first."""
    number = start * config.pictures
    sources, weights = list(config.sources), list(config.sources.values())
    while True:
        examples: list[tuple[torch.Tensor, tuple[int, int, int], PatchTargets]] = []
        while len(examples) < config.pictures:
            source = random.Random(f"{seed}/vision/{number}").choices(sources, weights)[0]
            item = build_item(source, seed=seed, index=number, split="train", config=world)
            examples.append(_example(item))
            number += 1
        yield (
            torch.cat([patches for patches, _, _ in examples]),
            torch.tensor([grid for _, grid, _ in examples]),
            PatchTargets.concatenate([targets for _, _, targets in examples]),
        )


def _example(item: WorldItem, max_frames: int = 6) -> tuple[torch.Tensor, tuple[int, int, int], PatchTargets]:
    """One picture, or the first frames of a clip, with its targets."""
    frames = list(item.frames[:max_frames]) if item.frames else [item.image]
    assert frames[0] is not None
    width, height = frames[0].size
    patches = patchify(frames, (height, width), ImageSettings())  # type: ignore[arg-type]
    regions = [
        [
            Region(note.box, note.attributes)
            for note in item.annotations
            if note.frames is None or note.frames[0] <= first < note.frames[1]
        ]
        for first in range(0, len(frames), 2)
    ]
    rows, columns = height // 14, width // 14
    grid = (patches.shape[0] // (rows * columns), rows, columns)
    return patches, grid, patch_targets(regions, rows, columns, VOCABULARY)
