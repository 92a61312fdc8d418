"""One stage of training, from packed batches to a Hugging Face folder.

    train_stage(model, processor, samples, stage, out)   →   out/metrics.jsonl, out/model/, out/done.json

Killed at any moment it goes on from its last resume point, and on the CPU with the very losses it would have had:
the point holds parameters, optimizer, random states and the loader's place. How the stage is spread over processes is
not decided here (``spread.py``).
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from mimovl.data import LoaderState, PackedLoader, Processor, SampleFolders, side_by_side
from mimovl.errors import CheckpointError, Stopped, TrainingError
from mimovl.heap import keep_freed_memory
from mimovl.model import VisionLanguageModel, load_checkpoint
from mimovl.team import ALONE, Team
from mimovl.train.checkpoint import drop_points, is_finished
from mimovl.train.config import StageConfig
from mimovl.train.distributed import agree
from mimovl.train.gauges import Gauges, total_norm
from mimovl.train.loaders import DropList, Samples, data_digest, stage_loaders
from mimovl.train.loss import Objective, language_model_loss
from mimovl.train.metrics import MetricsLog, peak_memory_mb
from mimovl.train.optimizer import Optimizer, learning_rate_factor, set_trainable
from mimovl.train.same_start import weights_digest
from mimovl.train.spread import Spread, TeamSpread
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

    @classmethod
    def restored(cls, saved: Mapping[str, Any] | None, out: Path) -> _Counters:
        """As a resume point holds them; from the beginning without one."""
        if saved is None:
            return cls()
        known = {one.name for one in fields(cls)}
        for names, what in ((known - saved.keys(), "lack"), (saved.keys() - known, "have, unknown to this mimovl,")):
            if names:
                raise CheckpointError(
                    f"{out / 'resume'}: the counters of the newest resume point {what} {', '.join(sorted(names))}; "
                    "go on with the mimovl that saved it, or delete the point to go on from the one before it, if any"
                )
        return cls(**saved)


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
    spread: Spread | None = None,
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
        spread: how processes share packs and parameters; unset, each of the team holds the whole model.

    Returns:
        The trained model.

    Raises:
        DataError: the mixture or a sample cannot be used, or the processes disagree on the data or the weights.
        CheckpointError: a resume point cannot be used or saved.
        TrainingError: a loss or gradient is no number, or too high, and the stage's policy says stop.
        MimovlError: a process that reads ahead died; names the sample it was on.
        Stopped: somebody asked a process to end; the stage has been saved.
    """
    spread = spread or TeamSpread(team)
    if is_finished(out):
        if spread.team.leads:
            drop_points(out)
        return load_checkpoint(out / "model")
    keep_freed_memory()
    set_trainable(model, stage.train)
    model = spread.prepare(model.train(), stage)
    trained: dict[str, nn.Module] = {name: part for name, part in model.named_children() if name in stage.train}
    optimizer = spread.optimizer(trained, stage)
    counters = _Counters.restored(spread.checkpoints.resume(out, model, optimizer), out)
    if spread.team.size > 1:
        digest = weights_digest(model)
        agree(spread.team, "where it begins", digest and f"step {counters.step} with weights {digest}")
    loaders = stage_loaders(samples, processor, stage, spread.lanes(stage.packs), counters.loaders, seed=seed)
    if spread.team.size > 1:
        agree(spread.team, "the data", data_digest(samples, loaders))
    gauges = Gauges(
        model,
        stage,
        out,
        processes=spread.team.size,
        leads=spread.team.leads,
        peak_tflops=tracking.config.peak_tflops if tracking else None,
        state=counters.spikes,
        dtype=spread.dtype,
    )
    with ExitStack() as stack:
        stack.enter_context(gauges.open())
        steps = stack.enter_context(closing(side_by_side(loaders)))
        data = _Input(loaders, steps, DropList(out))
        log = None
        if spread.team.leads:
            trackers = [stack.enter_context(closing(tracking.open(out.name, at=counters.step)))] if tracking else []
            log = MetricsLog(out / "metrics.jsonl", step=counters.step, followers=trackers)
            stack.enter_context(closing(log))
        try:
            _train(model, optimizer, data, stage, counters, gauges, log, out, progress, spread, objective)
        except TrainingError:  # in every process
            spread.checkpoints.settle(out)
            raise
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
    spread.finish(out, model, processor.files(), done)
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
    spread: Spread,
    objective: Objective,
) -> None:
    """The steps that are left, each logged, with a resume point now and then."""
    saved = time.monotonic()
    while counters.step < stage.steps:
        started = time.monotonic()
        factor = learning_rate_factor(
            counters.step, stage.steps, warmup=stage.warmup, schedule=stage.schedule, final=stage.final
        )
        figures = _step(model, optimizer, data, factor, counters, gauges, spread, objective)
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
        if (wish := spread.wish(due=due)) != "go on":
            counters.spikes = gauges.spikes.state_dict()
            counters.loaders = spread.merge([state.state_dict() for state in figures["loaders"]])
            spread.checkpoints.save(out, model, optimizer, asdict(counters))
            saved = time.monotonic()
        if wish == "stop":
            spread.checkpoints.settle(out)
            raise Stopped(f"stopped as asked (SIGTERM) after step {counters.step} of {stage.steps}; saved in {out}")


def _step(
    model: VisionLanguageModel,
    optimizer: Optimizer,
    data: _Input,
    factor: float,
    counters: _Counters,
    gauges: Gauges,
    spread: Spread,
    objective: Objective,
) -> dict[str, Any]:
    """One optimizer step over the stage's packs, normalised by the labels of all of them."""
    drawn = data.draw()
    known = spread.merge([_known(batch, state) for batch, state in drawn])
    labels = sum(pack["labels"] for pack in known)
    packs: list[dict[str, Any]] = []
    for batch, last in spread.batches([batch for batch, _ in drawn]):
        loss = spread.loss(model, batch, objective)
        further = model.auxiliary_loss(batch)
        total = loss.total if further is None else loss.total + further
        spread.backward(total / labels, last=last)
        # Only now is anything read that a GPU has to be waited for.
        packs.append(
            {
                "loss": float(loss.total.detach()),
                "by_source": loss.by_source,
                "waited": data.waited,
                **gauges.pack(batch, loss),
            }
        )
    spread.gradients(optimizer, seen=any(pack["images"] for pack in known))
    packs = spread.merge(packs, _together)
    mean, norms = sum(pack["loss"] for pack in packs) / labels, optimizer.norms()
    if gauges.accepts(counters.step + 1, mean, norms, packs):
        norm = optimizer.step(factor)
    else:
        norm = total_norm(norms)
        optimizer.clear()
    by_source = _add_sources(pack["by_source"] for pack in packs)
    tokens, images = (sum(pack[name] for pack in known) for name in ("tokens", "images"))
    counters.step += 1
    counters.tokens += tokens
    counters.images += images
    dropped: Counter[str] = Counter()
    for pack in known:
        dropped.update(dict(pack["dropped"]))
    counters.dropped = dict(sorted(dropped.items()))
    return {
        "loss": mean,
        "loss_by_source": {source: summed / max(1, count) for source, (summed, count) in sorted(by_source.items())},
        "grad_norm": norm,
        "grad_norm_by_part": norms,
        "size": (tokens, images, sum(pack["flops"] for pack in packs)),
        "data_wait": max(pack["waited"] for pack in packs),
        "loaders": [state for _, state in drawn],
    }


def _known(batch: PackedBatch, state: LoaderState) -> dict[str, Any]:
    """What is known of a pack before it is computed, the same in all processes that share it."""
    return {
        "labels": float(batch.loss_weights[batch.labels >= 0].sum()),
        "tokens": batch.num_tokens,
        "images": len(batch.grid_thw),
        "dropped": state.dropped,
        "samples": hashlib.sha256("\n".join(batch.sample_ids).encode()).hexdigest()[:16],
    }


def _together(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The figures of a pack from those of two parts of its tokens."""
    return {
        "loss": one["loss"] + other["loss"],
        "by_source": _add_sources((one["by_source"], other["by_source"])),
        "waited": max(one["waited"], other["waited"]),
        "flops": one["flops"],  # both know those of the whole pack
        "samples": [mine + its for mine, its in zip(one["samples"], other["samples"], strict=True)],
    }


def _add_sources(parts: Iterable[dict[str, tuple[float, int]]]) -> dict[str, tuple[float, int]]:
    """Summed loss and labelled tokens of each source."""
    by_source: dict[str, tuple[float, int]] = {}
    for part in parts:
        for source, (summed, count) in part.items():
            before = by_source.get(source, (0.0, 0))
            by_source[source] = (before[0] + summed, before[1] + count)
    return by_source
