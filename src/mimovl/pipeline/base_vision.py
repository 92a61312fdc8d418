"""The vision tower of the base: dense attributes of every patch, with a throwaway head, on one core."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mimovl.curate.world import WorldConfig, WorldItem, build_item
from mimovl.curate.world.gui import LABELS
from mimovl.curate.world.language import PLACES
from mimovl.data import ImageSettings, patchify
from mimovl.data.workers import InProcess, Note, Runner, WorkerPool
from mimovl.model import VisionLanguageModel, build_model, preset
from mimovl.pipeline.config import BaseConfig, VisionBaseConfig
from mimovl.train import MetricsLog, Optimizer, learning_rate_factor
from mimovl.train.checkpoint import resume_training, save_training
from mimovl.train.distributed import own_device
from mimovl.train.parallel_config import ParallelConfig, torch_dtype
from mimovl.train.spread import computing_in
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


def vision_worker(
    config: BaseConfig, world: WorldConfig, model_preset: str, folder: Path, seed: int, parallel: ParallelConfig | None
) -> None:
    """Train the tower in a process of its own; DIR/base/vision/vision.pt is its parameters."""
    torch.set_num_threads(1)
    out = folder / "vision"
    if (out / "vision.pt").is_file():
        return
    model: VisionLanguageModel = build_model(preset(model_preset), seed=seed)
    train_vision(model, config.vision, world, out, seed, torch_dtype(parallel.dtype) if parallel else None)


def train_vision(
    model: VisionLanguageModel,
    config: VisionBaseConfig,
    world: WorldConfig,
    out: Path,
    seed: int,
    dtype: torch.dtype | None = None,
) -> None:
    """Train a tower on annotated pictures; OUT/vision.pt is its parameters."""
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
    with closing(batches), closing(MetricsLog(out / "metrics.jsonl", step=step)) as log:
        while step < config.steps:
            patches, grid, targets = next(batches)
            with computing_in(dtype, device):
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
) -> Generator[tuple[torch.Tensor, torch.Tensor, PatchTargets], None, None]:
    """Batches of annotated pictures: patches, grids, targets; batch number ``start`` first.

    They depend on their number alone, whoever draws them.
    """
    draw = _Draw(config, world, seed)
    with ExitStack() as stack:
        runner: Runner = InProcess(draw)
        if config.workers:
            runner = stack.enter_context(WorkerPool(draw, config.workers))
        ahead = deque(runner.submit("batch", start + number) for number in range(2 * (config.workers or 0) + 1))
        for number in count(start + len(ahead)):
            patches, grid, classes = runner.result(ahead.popleft())
            ahead.append(runner.submit("batch", number))
            targets = PatchTargets({name: torch.from_numpy(one).long() for name, one in classes.items()})
            yield torch.from_numpy(patches), torch.from_numpy(grid), targets


@dataclass(frozen=True)
class _Draw:
    """Draws a batch, here or in another process: patches, grids, and each attribute's classes."""

    config: VisionBaseConfig
    world: WorldConfig
    seed: int

    def __call__(self, kind: str, number: int, note: Note) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        config, seed = self.config, self.seed
        sources, weights = list(config.sources), list(config.sources.values())
        examples: list[tuple[torch.Tensor, tuple[int, int, int], PatchTargets]] = []
        for index in range(number * config.pictures, (number + 1) * config.pictures):
            source = random.Random(f"{seed}/vision/{index}").choices(sources, weights)[0]
            item = build_item(source, seed=seed, index=index, split="train", config=self.world)
            examples.append(annotated_example(item))
        targets = PatchTargets.concatenate([targets for _, _, targets in examples])
        return (
            torch.cat([patches for patches, _, _ in examples]).numpy(),
            np.array([grid for _, grid, _ in examples]),
            {name: classes.numpy().astype(np.int16) for name, classes in targets.classes.items()},
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
