"""What both experiments share: arms are recipe values, trained for each seed and asked held-out prompts.

Every arm starts from the same checkpoint, draws the same prompts in the same order for the same seed, and uses every
group it samples (no dynamic sampling), so that arms differ in what they do with equal samples and in nothing else.
Trainings and answers lie in ``OUT/ARM/seed-N`` and are not made twice: a killed experiment goes on. Beside each lies
what it was made of; asked for anything else, the experiment wants another ``OUT``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from experiments.fingerprint import checkpoint_hash, claim, ids_hash
from mimovl.data import Processor
from mimovl.errors import MimovlError, UsageError
from mimovl.generate import Engine
from mimovl.model import load_checkpoint
from mimovl.reward import RewardRouter
from mimovl.rl import RLConfig, train_policy
from mimovl.rl.rewards import reward_groups
from mimovl.store import Dataset
from mimovl.types import Request, Sample, SamplingParams

START = "4-long-context/model"
"""Checkpoint of a tiny run that reinforcement learning starts from: after the fourth stage (``MiMo-VL-SFT``)."""


@dataclass(frozen=True)
class Arm:
    """One way of training: its name, its name for people, and recipe values over the common ones."""

    name: str
    label: str
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Start:
    """Where all arms start: a finished run's fourth stage, its prompts and held-out questions."""

    checkpoint: Path
    prompts: Path
    heldout: Path

    @classmethod
    def of(cls, run: Path) -> Start:
        """The parts of a run of ``recipes/tiny.yaml``.

        Raises:
            UsageError: one is missing; says how to make it.
        """
        start = cls(run / START, run / "data" / "prompts", run / "data" / "heldout")
        for path in (start.checkpoint, start.prompts, start.heldout):
            if not path.is_dir():
                raise UsageError(f"there is no {path}; make a run: mimovl run recipes/tiny.yaml --out {run}")
        return start


def arguments(description: str, out: Path, *, steps: int) -> argparse.ArgumentParser:
    """Options that both experiments have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--run", type=Path, default=Path("runs/tiny"), help="a finished run of recipes/tiny.yaml")
    parser.add_argument("--out", type=Path, default=out)
    parser.add_argument("--seeds", type=_positive, default=3)
    parser.add_argument("--steps", type=_positive, default=steps, help="batches of rollouts of each arm")
    parser.add_argument("--questions", type=_positive, default=96, help="held-out prompts of each task")
    parser.add_argument("--only", nargs="+", help="train only these arms, e.g. beside another process; draw nothing")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def selected(arms: Sequence[Arm], only: Sequence[str] | None) -> list[Arm]:
    """The arms that ``--only`` names, or all.

    Raises:
        UsageError: one is unknown.
    """
    names = [arm.name for arm in arms]
    if unknown := [name for name in only or () if name not in names]:
        raise UsageError(f"--only names {unknown[0]}; there are {', '.join(names)}")
    return [arm for arm in arms if not only or arm.name in only]


def run(main: Callable[[], None]) -> None:
    """Run an experiment; a user's mistake is one line and exit code 2."""
    try:
        main()
    except MimovlError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def config(common: Mapping[str, Any], arm: Arm) -> RLConfig:
    """The recipe section of an arm."""
    return RLConfig.model_validate({**common, **arm.changes})


def train(arm: Arm, common: Mapping[str, Any], seed: int, start: Start, out: Path) -> list[dict[str, Any]]:
    """Train an arm, or go on with it, or read what is finished; its metrics, one line a batch of rollouts.

    Raises:
        UsageError: what lies there was trained with other settings, or from another checkpoint.
    """
    torch.set_num_threads(1)
    folder = out / arm.name / f"seed-{seed}"
    settings = config(common, arm)
    data = {name: _manifest_hash(path) for name, path in (("prompts", start.prompts), ("heldout", start.heldout))}
    made_of = {**settings.model_dump(mode="json"), "checkpoint": checkpoint_hash(start.checkpoint), **data}
    claim(folder / "settings.json", folder / "metrics.jsonl", made_of)
    if not (folder / "done.json").is_file():
        print(f"{arm.name}, seed {seed}: training", flush=True)
        model, processor = load_checkpoint(start.checkpoint), Processor.load(start.checkpoint)
        heldout = Dataset.open(start.heldout)
        train_policy(model, processor, Dataset.open(start.prompts), settings, folder, heldout=heldout, seed=seed)
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def _manifest_hash(dataset: Path) -> str:
    """Of what a dataset says of itself: its recipe, its counts."""
    return hashlib.sha256((dataset / "manifest.json").read_bytes()).hexdigest()[:16]


def ask(
    checkpoint: Path, questions: Sequence[Sample], file: Path, *, temperature: float, max_tokens: int
) -> list[dict[str, Any]]:
    """Ask a checkpoint the questions as training samples them, two answers each; or read what it said.

    The draws of a question are the same for every checkpoint, so that two are compared question by question.

    Returns:
        For each question its id and task, and of its answers the mean reward and the mean length in tokens.

    Raises:
        UsageError: the answers there are another checkpoint's, or to other questions.
    """
    made_of = {
        "checkpoint": checkpoint_hash(checkpoint),
        "number of questions": len(questions),
        "questions": ids_hash([sample.id for sample in questions]),
        "temperature": temperature,
        "max_tokens": max_tokens,
    }
    claim(file.with_suffix(".settings.json"), file, made_of)
    if file.is_file():
        answers: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
        return answers
    torch.set_num_threads(1)
    engine = Engine(load_checkpoint(checkpoint), Processor.load(checkpoint))
    requests = [
        Request(sample, SamplingParams(temperature, max_tokens=max_tokens, seed=zlib.crc32(sample.id.encode())), 2)
        for sample in questions
    ]
    groups = reward_groups(requests, engine.generate(requests), RewardRouter(), 0)
    answers = [
        {
            "id": group.request.sample.id,
            "task": group.request.sample.task,
            "reward": sum(one.reward for one in group.rollouts) / len(group.rollouts),
            "length": sum(len(one.completion.tokens) for one in group.rollouts) / len(group.rollouts),
        }
        for group in groups
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(answers), encoding="utf-8")
    return answers
