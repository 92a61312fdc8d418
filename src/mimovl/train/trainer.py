"""One stage of training, from packed batches to a Hugging Face folder.

    train_stage(model, processor, samples, stage, out)   →   out/metrics.jsonl, out/model/, out/done.json

Killed at any moment it goes on from its last resume point, and on the CPU with the very losses it would have had:
the point holds parameters, optimizer, random states and the loader's place.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from mimovl.data import LoaderState, PackedLoader, Processor, SampleFolders, side_by_side
from mimovl.model import VisionLanguageModel, load_checkpoint
from mimovl.team import ALONE, Team
from mimovl.train.checkpoint import finish_step, is_finished, resume_training, save_training
from mimovl.train.config import StageConfig
from mimovl.train.gauges import Gauges, total_norm
from mimovl.train.loaders import DropList, Samples, stage_loaders
from mimovl.train.loss import Objective, language_model_loss
from mimovl.train.metrics import MetricsLog, peak_memory_mb
from mimovl.train.optimizer import Optimizer, learning_rate_factor, set_trainable
from mimovl.train.trackers import Tracking
from mimovl.types import PackedBatch

__all__ = ["MetricsLog", "Progress", "Samples", "peak_memory_mb", "train_stage"]


class Progress(Protocol):
    """Something that shows how far a step is."""

    def update(self, done: float, total: float, text: str) -> None:
        """``done`` of ``total`` units, with the figures of the moment."""
        ...


@dataclass
class _Input:
    """The packs of this process, step by step."""

    loaders: list[PackedLoader]
    steps: Iterator[list[tuple[PackedBatch, LoaderState]]]
    drops: DropList
    waited: float = 0.0
    """Seconds the last step waited for its packs."""

    def draw(self) -> list[tuple[PackedBatch, LoaderState]]:
        """The packs of a step and the states after them."""
        started = time.monotonic()
        drawn = next(self.steps)
        self.waited = time.monotonic() - started
        self.drops.update(self.loaders)
        return drawn


@dataclass
class _Counters:
    """What a stage has done so far; part of its resume point."""

    step: int = 0
    tokens: int = 0
    images: int = 0
    seconds: float = 0.0
    loaders: list[dict[str, Any]] = field(default_factory=list)
    """Where the loader of each pack of a step goes on."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Draws left out, by reason."""
    spikes: dict[str, Any] = field(default_factory=dict)
    """What the spike watch remembers."""


def train_stage(
    model: VisionLanguageModel,
    processor: Processor,
    samples: Samples | SampleFolders,
    stage: StageConfig,
    out: Path,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    team: Team = ALONE,
    objective: Objective = language_model_loss,
    tracking: Tracking | None = None,
) -> VisionLanguageModel:
    """Train one stage, or what is left of it.

    Args:
        model: trained in place.
        processor: turns samples into tensors; its files travel with the checkpoint.
        samples: the dataset the mixture draws from, or the folders it streams from.
        stage: what to do.
        out: the stage's folder.
        seed: fixes the order of samples.
        progress: shows loss, speed and time left.
        team: processes that share each step's packs; losses do not depend on their number.
        objective: what is made small, by default the next-token loss; it is divided by a step's labels.
        tracking: who is told the figures besides metrics.jsonl.

    Returns:
        The trained model.

    Raises:
        DataError: the mixture or a sample cannot be used.
        TrainingError: a loss or gradient is no number, or too high, and the stage's policy says stop.
        MimovlError: a process that reads ahead died; names the sample it was on.
    """
    if is_finished(out):
        return load_checkpoint(out / "model")
    set_trainable(model, stage.train)
    model.train()
    trained: dict[str, nn.Module] = {name: part for name, part in model.named_children() if name in stage.train}
    rates = {str(part): rate for part, rate in stage.learning_rate.items()}
    optimizer = Optimizer(trained, rates, stage.optimizer, team=team)
    counters = _Counters(**(resume_training(out, {"model": model}, optimizer) or {}))
    lanes = team.share(range(stage.packs))
    loaders = stage_loaders(samples, processor, stage, lanes, counters.loaders, seed=seed)
    gauges = Gauges(
        model,
        stage,
        out,
        processes=team.size,
        leads=team.leads,
        peak_tflops=tracking.config.peak_tflops if tracking else None,
        state=counters.spikes,
    )
    with ExitStack() as stack:
        stack.enter_context(gauges.open())
        steps = stack.enter_context(closing(side_by_side(loaders)))
        data = _Input(loaders, steps, DropList(out))
        log = None
        if team.leads:
            trackers = [stack.enter_context(closing(tracking.open(out.name, at=counters.step)))] if tracking else []
            log = MetricsLog(out / "metrics.jsonl", step=counters.step, followers=trackers)
            stack.enter_context(closing(log))
        _train(model, optimizer, data, stage, counters, gauges, log, out, progress, team, objective)
    done = {
        "steps": counters.step,
        "tokens": counters.tokens,
        "images": counters.images,
        "seconds": counters.seconds,
        "trained": list(stage.train),
        "learning_rate": dict(stage.learning_rate),
        "length": stage.length,
        "dropped": counters.dropped,
        "skipped": gauges.spikes.skipped,
    }
    finish_step(out, model, processor.files(), done, team=team)
    return model


def _train(
    model: VisionLanguageModel,
    optimizer: Optimizer,
    data: _Input,
    stage: StageConfig,
    counters: _Counters,
    gauges: Gauges,
    log: MetricsLog | None,
    out: Path,
    progress: Progress | None,
    team: Team,
    objective: Objective,
) -> None:
    """The steps that are left, each logged, with a resume point now and then."""
    saved = time.monotonic()
    while counters.step < stage.steps:
        started = time.monotonic()
        factor = learning_rate_factor(
            counters.step, stage.steps, warmup=stage.warmup, schedule=stage.schedule, final=stage.final
        )
        figures = _step(model, optimizer, data, stage, factor, counters, gauges, team, objective)
        elapsed = time.monotonic() - started
        counters.seconds += elapsed
        tokens, images, flops = figures["size"]
        if log:
            log.write(
                step=counters.step,
                steps=stage.steps,
                tokens=counters.tokens,
                images=counters.images,
                loss=figures["loss"],
                loss_by_source=figures["loss_by_source"],
                grad_norm=figures["grad_norm"],
                grad_norm_by_part=figures["grad_norm_by_part"],
                skipped=gauges.spikes.skipped,
                learning_rate={part: rate * factor for part, rate in stage.learning_rate.items()},
                **gauges.speeds(tokens, images, flops, elapsed),
                data_wait=figures["data_wait"],
                seconds=counters.seconds,
                memory_mb=peak_memory_mb(),
            )
        if progress:
            progress.update(counters.step, stage.steps, f"loss {figures['loss']:.3f}  {tokens / elapsed:,.0f} tokens/s")
        due = time.monotonic() - saved > stage.save_seconds and counters.step < stage.steps
        if team.broadcast(due):
            counters.spikes = gauges.spikes.state_dict()
            counters.loaders = team.merge([state.state_dict() for state in figures["loaders"]])
            if team.leads:
                save_training(out, {"model": model}, optimizer, asdict(counters))
            saved = time.monotonic()


def _step(
    model: VisionLanguageModel,
    optimizer: Optimizer,
    data: _Input,
    stage: StageConfig,
    factor: float,
    counters: _Counters,
    gauges: Gauges,
    team: Team,
    objective: Objective,
) -> dict[str, Any]:
    """One optimizer step over ``stage.packs`` packs, normalised by the labels of all of them."""
    drawn = data.draw()
    labels = sum(team.merge([float(batch.loss_weights[batch.labels >= 0].sum()) for batch, _ in drawn]))
    packs: list[dict[str, Any]] = []
    for batch, _ in drawn:
        batch = batch.to(model.device)
        loss = objective(model, batch)
        further = model.auxiliary_loss(batch)
        total = loss.total if further is None else loss.total + further
        if total.requires_grad:  # text alone teaches a frozen language model nothing
            (total / labels).backward()  # type: ignore[no-untyped-call]
        packs.append(
            {
                "loss": float(loss.total.detach()),
                "by_source": loss.by_source,
                "tokens": batch.num_tokens,
                "images": len(batch.grid_thw),
                **gauges.pack(batch, loss),
            }
        )
    for pack, (_, state) in zip(packs, drawn, strict=True):
        pack |= {"dropped": state.dropped, "waited": data.waited}
    team.sum_gradients(optimizer.parameters)
    packs = team.merge(packs)
    mean, norms = sum(pack["loss"] for pack in packs) / labels, optimizer.norms()
    if gauges.accepts(counters.step + 1, mean, norms, packs):
        norm = optimizer.step(factor)
    else:
        norm = total_norm(norms)
        optimizer.clear()
    by_source: dict[str, tuple[float, int]] = {}
    for pack in packs:
        for source, (summed, count) in pack["by_source"].items():
            before = by_source.get(source, (0.0, 0))
            by_source[source] = (before[0] + summed, before[1] + count)
    tokens, images, flops = (sum(pack[name] for pack in packs) for name in ("tokens", "images", "flops"))
    counters.step += 1
    counters.tokens += tokens
    counters.images += images
    dropped: Counter[str] = Counter()
    for pack in packs:
        dropped.update(dict(pack["dropped"]))
    counters.dropped = dict(sorted(dropped.items()))
    return {
        "loss": mean,
        "loss_by_source": {source: summed / max(1, count) for source, (summed, count) in sorted(by_source.items())},
        "grad_norm": norm,
        "grad_norm_by_part": norms,
        "size": (tokens, images, flops),
        "data_wait": max(pack["waited"] for pack in packs),
        "loaders": [state for _, state in drawn],
    }
