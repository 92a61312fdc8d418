"""``mimovl evaluate``, and the evaluation after each step of a run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from mimovl.curate.world import WorldConfig
from mimovl.data import Processor
from mimovl.errors import UsageError
from mimovl.evaluate import SAMPLED, evaluate
from mimovl.evaluate.task import Mode
from mimovl.generate import Engine, TeamEngine
from mimovl.heap import keep_freed_memory
from mimovl.model import VisionLanguageModel, load_checkpoint
from mimovl.pipeline.config import EvaluateConfig
from mimovl.pipeline.data import heldout_questions
from mimovl.pipeline.progress import Display, StepProgress
from mimovl.store import Dataset
from mimovl.team import ALONE, Team
from mimovl.train.distributed import own_device
from mimovl.types import Sample

__all__ = [
    "HELDOUT_ITEMS",
    "HELDOUT_SEED",
    "checkpoint_fingerprint",
    "evaluate_checkpoint",
    "evaluate_step",
    "is_evaluated",
    "load_to_answer",
]

HELDOUT_SEED = 1
HELDOUT_ITEMS = {
    "world/caption": 60,
    "world/attributes": 160,
    "world/counting": 240,
    "world/grounding": 240,
    "world/gui": 160,
    "world/ocr": 120,
    "world/clip": 200,
    "world/arithmetic": 240,
    "world/reasoning": 120,
}
"""What ``mimovl evaluate`` asks where no dataset is given: held-out items of the embedded world, by source."""


def evaluate_step(
    model: VisionLanguageModel,
    processor: Processor,
    checkpoint: Path,
    heldout: Path,
    out: Path,
    settings: EvaluateConfig,
    *,
    step: str,
    progress: StepProgress | None,
    team: Team = ALONE,
    temperature: float = 0.0,
) -> None:
    """Evaluate a step's checkpoint on the run's held-out questions.

    Args:
        model: the checkpoint, loaded.
        processor: of the checkpoint.
        checkpoint: its folder, whose content is the answers' fingerprint.
        heldout: the dataset.
        out: folder of the answers.
        settings: modes and limits.
        step: the step's name, under which ``settings`` may limit the questions.
        progress: shows how far it is.
        team: processes that share the questions.
        temperature: above 0, ``settings.sampled`` questions of a task are answered again at this temperature, into
            ``out/sampled``.
    """
    wanted = (settings.sampled or 0) if temperature > 0 else 0
    sampled = min(wanted, settings.questions.get(step, wanted))
    if team.broadcast(team.leads and is_evaluated(out, checkpoint, sampled=sampled > 0)):
        return
    keep_freed_memory()
    engine = TeamEngine(Engine(model, processor, slots=settings.slots), team)
    if not team.leads:
        engine.serve()
        return
    samples = list(Dataset.open(heldout))
    options: dict[str, Any] = dict(
        modes=settings.modes,
        progress=progress.update if progress else None,
        fingerprint=checkpoint_fingerprint(checkpoint),
    )
    evaluate(engine, _at_most(samples, settings.questions.get(step)), None, out, **options)
    if sampled:
        evaluate(engine, _at_most(samples, sampled), None, out / SAMPLED, temperature=temperature, **options)
    engine.close()


def is_evaluated(out: Path, checkpoint: Path, *, sampled: bool = False) -> bool:
    """Whether a folder holds the finished scores of a checkpoint, and those of sampled answers where they are asked."""
    if not (out / "summary.json").is_file() or not (out / "model.json").is_file():
        return False
    if sampled and not is_evaluated(out / SAMPLED, checkpoint):
        return False
    known = json.loads((out / "model.json").read_text(encoding="utf-8"))
    return str(known["fingerprint"]).rpartition(" ")[2] == checkpoint_fingerprint(checkpoint)


def load_to_answer(folder: Path | str) -> VisionLanguageModel:
    """A checkpoint to be asked: on this process's GPU in bfloat16, where there is one, else in float32."""
    device = own_device()
    return load_checkpoint(folder, dtype=torch.float32 if device.type == "cpu" else torch.bfloat16, device=device)


def checkpoint_fingerprint(folder: Path) -> str:
    """A hash of a checkpoint's configuration and weights."""
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def evaluate_checkpoint(
    checkpoint: Path | str,
    out: Path | str,
    *,
    dataset: Path | str | None = None,
    tasks: Sequence[str] | None = None,
    limit: int | None = None,
    modes: Sequence[Mode] = ("no_think", "thinking"),
    temperature: float = 0.0,
) -> dict[str, Any]:
    """Score a checkpoint on held-out questions.

    Args:
        checkpoint: a Hugging Face folder.
        out: folder for scores.json, answers.jsonl and summary.json.
        dataset: held-out dataset; None for the embedded world's.
        tasks: only these.
        limit: at most so many questions a task.
        modes: thinking, no_think, or both.
        temperature: of the answers; 0 is greedy.

    Returns:
        The content of scores.json.

    Raises:
        CheckpointError: the checkpoint cannot be loaded.
        UsageError: no question is left, or a task is unknown.
    """
    model, processor = load_to_answer(checkpoint), Processor.load(checkpoint)
    samples = list(Dataset.open(dataset)) if dataset else _world_questions()
    known = sorted({sample.task for sample in samples})
    if unknown := [task for task in tasks or () if task not in known]:
        raise UsageError(f"no question of task {unknown[0]!r}; there are: {', '.join(known)}")
    samples = _at_most([sample for sample in samples if not tasks or sample.task in tasks], limit)
    display = Display()
    with display.show(), display.step(f"evaluate {Path(checkpoint).name}") as progress:
        scores = evaluate(
            Engine(model, processor, slots=192),
            samples,
            None,
            out,
            modes=list(modes),
            temperature=temperature,
            progress=progress.update,
            fingerprint=checkpoint_fingerprint(Path(checkpoint)),
        )
    for task, score in scores.items():
        low, high = score["interval"]
        display.line(f"{task:<18} {score['score']:.3f}  [{low:.3f}, {high:.3f}]  n={score['n']}  {score['mode']}")
    return scores


def _world_questions() -> list[Sample]:
    drawn = heldout_questions(HELDOUT_ITEMS, WorldConfig(), seed=HELDOUT_SEED, per_item=2)
    return [question for _, questions in drawn for question in questions]


def _at_most(samples: Sequence[Sample], limit: int | None) -> list[Sample]:
    """The first ``limit`` questions of each task; all of them for None."""
    if limit is None:
        return list(samples)
    taken: dict[str, int] = {}
    kept = []
    for sample in samples:
        taken[sample.task] = taken.get(sample.task, 0) + 1
        if taken[sample.task] <= limit:
            kept.append(sample)
    return kept
