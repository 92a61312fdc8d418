"""The vision tower of the base: dense attributes of every patch, with a throwaway head, on one core."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import torch
from torch import nn

from mimovl.curate.world import WorldConfig, WorldItem, build_item
from mimovl.curate.world.gui import LABELS
from mimovl.curate.world.language import PLACES
from mimovl.data import ImageSettings, patchify
from mimovl.model import VisionLanguageModel, build_model, preset
from mimovl.pipeline.config import BaseConfig, VisionBaseConfig
from mimovl.train import MetricsLog, Optimizer, learning_rate_factor
from mimovl.train.checkpoint import resume_training, save_training
from mimovl.train.distributed import own_device
from mimovl.train.vision_base import AttributeHead, PatchTargets, Region, patch_targets

__all__ = ["VOCABULARY", "vision_worker"]

VOCABULARY = {
    "kind": ("none", "shape", "button", "checkbox", "field", "title"),
    "shape": ("circle", "square", "triangle", "star", "cross"),
    "colour": ("red", "green", "blue", "yellow", "purple", "orange"),
    "size": ("small", "large"),
    "place": tuple(PLACES),
    "state": ("empty", "ticked"),
    "label": tuple(LABELS),
}
"""What a patch can be said to be."""


def vision_worker(config: BaseConfig, world: WorldConfig, model_preset: str, folder: Path, seed: int) -> None:
    """Train the tower in a process of its own; DIR/base/vision/vision.pt is its parameters."""
    torch.set_num_threads(1)
    out = folder / "vision"
    if (out / "vision.pt").is_file():
        return
    model: VisionLanguageModel = build_model(preset(model_preset), seed=seed)
    train_vision(model, config.vision, world, out, seed)


def train_vision(
    model: VisionLanguageModel, config: VisionBaseConfig, world: WorldConfig, out: Path, seed: int
) -> None:
    tower = model.vision
    torch.manual_seed(seed)
    head = AttributeHead(model.config.vision.hidden_size, VOCABULARY)
    device = own_device()
    for part in (tower, head):
        part.to(device)
    rates = {"vision": config.learning_rate, "head": config.head_learning_rate}
    optimizer = Optimizer({"vision": tower, "head": head}, rates, config.optimizer)
    modules: dict[str, nn.Module] = {"vision": tower, "head": head}
    step = (resume_training(out, modules, optimizer) or {"step": 0})["step"]
    batches = annotated_batches(config, world, seed, step)
    saved = started = time.monotonic()
    with closing(MetricsLog(out / "metrics.jsonl", step=step)) as log:
        while step < config.steps:
            patches, grid, targets = next(batches)
            loss, accuracy = head(tower(patches.to(device), grid.to(device)), targets.to(device))
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
    torch.save(tower.to("cpu").state_dict(), out / "vision.partial")
    (out / "vision.partial").replace(out / "vision.pt")


def annotated_batches(
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
            examples.append(annotated_example(item))
            number += 1
        yield (
            torch.cat([patches for patches, _, _ in examples]),
            torch.tensor([grid for _, grid, _ in examples]),
            PatchTargets.concatenate([targets for _, _, targets in examples]),
        )


def annotated_example(item: WorldItem, max_frames: int = 6) -> tuple[torch.Tensor, tuple[int, int, int], PatchTargets]:
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
