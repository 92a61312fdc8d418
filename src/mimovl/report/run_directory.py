"""Reads a run directory, however unfinished: what is missing stays empty, what is damaged is noted, nothing raises.

    run.json  recipe.yaml  N-stage/{metrics.jsonl, done.json}  N-morl/{…, rollouts.jsonl}
    evaluate/CHECKPOINT/{scores.json, summary.json, answers.jsonl}  data/{train, prompts, heldout}
    base/{vision, language}/metrics.jsonl of a run that makes its own base parts

A run killed and resumed may have written a step twice, or torn its last line: the last writing of a step counts.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from mimovl.errors import UsageError
from mimovl.report.format import finite

__all__ = ["Checkpoint", "Record", "Run", "Stage", "mapping", "read_lines", "read_run", "sample_lines"]

Record = Mapping[str, Any]
_STEP_FOLDER = re.compile(r"^\d+-[\w.-]+$")


def mapping(value: Any) -> Record:
    """``value`` if it is a mapping, else an empty one: the fields of a damaged file are simply absent."""
    return value if isinstance(value, Mapping) else {}


@dataclass(frozen=True)
class Stage:
    """A training stage or the reinforcement learning: its folder, metrics by step, and what ``done.json`` says."""

    name: str
    path: Path
    metrics: tuple[Record, ...]
    done: Record

    @property
    def is_rl(self) -> bool:
        """Whether this is the reinforcement learning step."""
        return "morl" in self.name or (self.path / "rollouts.jsonl").exists()

    @property
    def steps_done(self) -> int:
        """How many steps have run."""
        return int(finite(self.done.get("steps")) or max((step_of(line) for line in self.metrics), default=0))

    @property
    def steps_planned(self) -> int:
        """How many steps there are to be, 0 if unknown."""
        planned = self.metrics[-1].get("steps") if self.metrics else None
        return int(finite(planned) or finite(self.done.get("steps")) or 0)


@dataclass(frozen=True)
class Checkpoint:
    """The scores of one checkpoint. ``scores`` is empty while its evaluation is unfinished."""

    name: str
    path: Path
    scores: Record
    summary: Record

    @property
    def answers(self) -> Path:
        """The file of single answers; may not exist."""
        return self.path / "answers.jsonl"


@dataclass
class Run:
    """Everything the report shows, as read."""

    path: Path
    info: Record = field(default_factory=dict)
    recipe: str = ""
    base: list[Stage] = field(default_factory=list)
    """Training of the base parts, in a run that makes its own."""
    stages: list[Stage] = field(default_factory=list)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What could not be read, one sentence each."""

    @property
    def training(self) -> list[Stage]:
        """The stages of supervised training."""
        return [stage for stage in self.stages if not stage.is_rl]

    @property
    def rl(self) -> Stage | None:
        """The reinforcement learning, if it has begun."""
        return next((stage for stage in reversed(self.stages) if stage.is_rl), None)

    @cached_property
    def settings(self) -> Record:
        """The effective recipe; empty if it is missing or damaged."""
        try:
            return mapping(yaml.safe_load(self.recipe))
        except (yaml.YAMLError, RecursionError, ValueError):
            return {}

    @property
    def datasets(self) -> list[Path]:
        """Where the pictures may be: the run's own datasets, held-out first, then imported ones."""
        folders = [self.path / "data"]
        imported = mapping(self.settings.get("data")).get("imported")
        folders += [Path(imported)] if imported and isinstance(imported, str) else []
        return [folder / name for folder in folders for name in ("heldout", "prompts", "train")]

    @property
    def finished(self) -> bool:
        """Whether ``run.json`` says that the run ended."""
        return bool(self.info.get("finished"))


def step_of(line: Record) -> int:
    """The step a metrics line speaks of, 0 if it does not say."""
    return int(finite(line.get("step")) or 0)


def read_lines(path: Path, notes: list[str]) -> Iterator[Record]:
    """The JSON objects of a ``.jsonl`` file; unreadable lines are counted and noted, a torn last one is not."""
    if not path.exists():
        return
    unreadable, torn = 0, False
    try:
        with path.open("rb") as file:
            for line in file:
                torn = False
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError):
                    unreadable, torn = unreadable + 1, not line.endswith(b"\n")
                    continue
                if isinstance(record, dict):
                    yield record
    except OSError as error:
        notes.append(f"{_short(path)} cannot be read: {error.strerror}.")
    if unreadable - torn > 0:
        notes.append(f"{_short(path)} has {unreadable - torn} unreadable line(s); the others are shown.")


def sample_lines(path: Path, most: int, notes: list[str], seed: int = 0) -> list[Record]:
    """Up to ``most`` JSON objects of a ``.jsonl`` file, a uniform random sample in file order, parsing only those."""
    if not path.exists():
        return []
    rng = random.Random(seed)
    kept: list[tuple[int, bytes]] = []
    try:
        with path.open("rb") as file:
            for index, line in enumerate(file):
                if len(kept) < most:
                    kept.append((index, line))
                elif (place := rng.randrange(index + 1)) < most:
                    kept[place] = (index, line)
    except OSError as error:
        notes.append(f"{_short(path)} cannot be read: {error.strerror}.")
    records: list[Record] = []
    for _, line in sorted(kept):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            records.append(record)
    return records


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _read_json(path: Path, notes: list[str]) -> Record:
    if not path.exists():
        return {}
    try:
        return mapping(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError):
        notes.append(f"{_short(path)} is not readable JSON and was left out.")
        return {}


def _read_stage(path: Path, notes: list[str]) -> Stage:
    by_step = {step_of(line): line for line in read_lines(path / "metrics.jsonl", notes)}
    metrics = tuple(by_step[step] for step in sorted(by_step))
    return Stage(path.name, path, metrics, _read_json(path / "done.json", notes))


def _folders(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    found = [child for child in path.iterdir() if child.is_dir() and _STEP_FOLDER.match(child.name)]
    return sorted(found, key=lambda child: (int(child.name.split("-")[0]), child.name))


def read_run(path: Path) -> Run:
    """Everything under ``path``.

    Raises:
        UsageError: There is no such folder.
    """
    if not path.is_dir():
        raise UsageError(f"there is no run directory at {path}; give the folder that `mimovl run … --out` wrote")
    run = Run(path)
    run.info = _read_json(path / "run.json", run.notes)
    try:
        run.recipe = (path / "recipe.yaml").read_text("utf-8", errors="replace")
    except OSError:
        pass
    run.base = [
        _read_stage(path / "base" / part, run.notes)
        for part in ("vision", "language")
        if (path / "base" / part).is_dir()
    ]
    run.stages = [_read_stage(folder, run.notes) for folder in _folders(path)]
    for folder in _folders(path / "evaluate"):
        scores = _read_json(folder / "scores.json", run.notes)
        run.checkpoints.append(Checkpoint(folder.name, folder, scores, _read_json(folder / "summary.json", run.notes)))
    return run
