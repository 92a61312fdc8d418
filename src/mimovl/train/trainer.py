"""One stage of training, from packed batches to a Hugging Face folder.

    train_stage(model, processor, samples, stage, out)   →   out/metrics.jsonl, out/model/, out/done.json

Killed at any moment it goes on from its last resume point, and on the CPU with the very losses it would have had:
the point holds parameters, optimizer, random states and the loader's place.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from ..data import LoaderState, Mixture, PackedLoader, Processor, indices_by_source
from ..model import VisionLanguageModel, load_checkpoint, save_checkpoint
from ..types import PackedBatch, Sample
from .checkpoint import load_resume_point, random_state, restore_random_state, save_resume_point
from .config import StageConfig
from .loss import language_model_loss
from .optimizer import Optimizer, learning_rate_factor, set_trainable

__all__ = ["MetricsLog", "Progress", "Samples", "peak_memory_mb", "train_stage"]


class Samples(Protocol):
    """A dataset as the trainer sees it."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...

    @property
    def sources(self) -> list[str]:
        """Source of each sample, without reading media."""
        ...


class Progress(Protocol):
    """Something that shows how far a step is."""

    def update(self, done: float, total: float, text: str) -> None:
        """``done`` of ``total`` units, with the figures of the moment."""
        ...


class MetricsLog:
    """A JSONL file that continues where a resumed step stands.

    Args:
        path: the file.
        step: lines of later steps are dropped (they will be made again).
    """

    def __init__(self, path: Path, *, step: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = []
        if path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    if json.loads(line)["step"] <= step:
                        kept.append(line)
                except (ValueError, KeyError):
                    break  # a line torn by a kill, and what follows it
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8")

    def write(self, **values: Any) -> None:
        """Append one line."""
        self._file.write(json.dumps(values, ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)


@dataclass
class _Counters:
    """What a stage has done so far; part of its resume point."""

    step: int = 0
    tokens: int = 0
    images: int = 0
    seconds: float = 0.0
    loader: LoaderState = field(default_factory=LoaderState)


def train_stage(
    model: VisionLanguageModel,
    processor: Processor,
    samples: Samples,
    stage: StageConfig,
    out: Path,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> VisionLanguageModel:
    """Train one stage, or what is left of it.

    Args:
        model: trained in place.
        processor: turns samples into tensors; its files travel with the checkpoint.
        samples: the dataset the mixture draws from.
        stage: what to do.
        out: the stage's folder.
        seed: fixes the order of samples.
        progress: shows loss, speed and time left.

    Returns:
        The trained model.

    Raises:
        DataError: the mixture or a sample cannot be used.
    """
    if (out / "done.json").is_file():
        return load_checkpoint(out / "model")
    mixture = Mixture(indices_by_source(samples.sources), stage.mixture, seed=seed)
    set_trainable(model, stage.train)
    model.train()
    trained = {name: part for name, part in model.named_children() if name in stage.train}
    optimizer = Optimizer(trained, stage.learning_rate, stage.optimizer)
    counters = _resume(model, optimizer, out)
    log = MetricsLog(out / "metrics.jsonl", step=counters.step)
    loader = PackedLoader(samples.__getitem__, mixture, processor, stage.length, state=counters.loader)
    batches = iter(loader)
    saved = time.monotonic()
    while counters.step < stage.steps:
        started = time.monotonic()
        factor = learning_rate_factor(
            counters.step, stage.steps, warmup=stage.warmup, schedule=stage.schedule, final=stage.final
        )
        figures = _step(model, optimizer, batches, stage, factor, counters)
        elapsed = time.monotonic() - started
        counters.seconds += elapsed
        speed = figures["step_tokens"] / elapsed
        log.write(
            step=counters.step,
            steps=stage.steps,
            tokens=counters.tokens,
            images=counters.images,
            loss=figures["loss"],
            loss_by_source=figures["loss_by_source"],
            grad_norm=figures["grad_norm"],
            learning_rate={part: rate * factor for part, rate in stage.learning_rate.items()},
            tokens_per_second=speed,
            seconds=counters.seconds,
            memory_mb=peak_memory_mb(),
        )
        if progress:
            progress.update(counters.step, stage.steps, f"loss {figures['loss']:.3f}  {speed:,.0f} tokens/s")
        if time.monotonic() - saved > stage.save_seconds and counters.step < stage.steps:
            _save(model, optimizer, counters, out)
            saved = time.monotonic()
    batches.close()  # type: ignore[attr-defined]
    log.close()
    _finish(model, processor, stage, counters, out)
    return model


def _step(
    model: VisionLanguageModel,
    optimizer: Optimizer,
    batches: Iterator[tuple[PackedBatch, LoaderState]],
    stage: StageConfig,
    factor: float,
    counters: _Counters,
) -> dict[str, Any]:
    """One optimizer step over ``stage.packs`` packs, normalised by the labels of all of them."""
    drawn = [next(batches) for _ in range(stage.packs)]
    labels = sum(float(batch.loss_weights[batch.labels >= 0].sum()) for batch, _ in drawn)
    total = 0.0
    by_source: dict[str, tuple[float, int]] = {}
    tokens = 0
    for batch, state in drawn:
        loss = language_model_loss(model, batch.to(model.device))
        (loss.total / labels).backward()  # type: ignore[no-untyped-call]
        total += float(loss.total.detach())
        for source, (summed, count) in loss.by_source.items():
            before = by_source.get(source, (0.0, 0))
            by_source[source] = (before[0] + summed, before[1] + count)
        tokens += batch.num_tokens
        counters.images += len(batch.grid_thw)
        counters.loader = state
    norm = optimizer.step(factor)
    counters.step += 1
    counters.tokens += tokens
    return {
        "loss": total / labels,
        "loss_by_source": {source: summed / max(1, count) for source, (summed, count) in sorted(by_source.items())},
        "grad_norm": norm,
        "step_tokens": tokens,
    }


def _save(model: VisionLanguageModel, optimizer: Optimizer, counters: _Counters, out: Path) -> None:
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "counters": counters,
        "random": random_state(),
    }
    save_resume_point(out / "resume", state)


def _resume(model: VisionLanguageModel, optimizer: Optimizer, out: Path) -> _Counters:
    """Go back to the last resume point, if there is one."""
    state = load_resume_point(out / "resume")
    if state is None:
        return _Counters()
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    restore_random_state(state["random"])
    counters: _Counters = state["counters"]
    return counters


def _finish(
    model: VisionLanguageModel, processor: Processor, stage: StageConfig, counters: _Counters, out: Path
) -> None:
    """Write the checkpoint, then the word that the stage is done, then drop the resume point."""
    model.side_files = processor.files()
    save_checkpoint(model, out / "model")
    done = {
        "steps": counters.step,
        "tokens": counters.tokens,
        "images": counters.images,
        "seconds": counters.seconds,
        "trained": list(stage.train),
        "learning_rate": dict(stage.learning_rate),
        "length": stage.length,
    }
    partial = out / ".done.json.partial"
    partial.write_text(json.dumps(done, indent=2) + "\n", encoding="utf-8")
    partial.replace(out / "done.json")
    (out / "resume" / "resume.pt").unlink(missing_ok=True)
