"""What a curation is, before it begins: parts that any process can make again, tasks, and segments of steps."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mimovl import __version__
from mimovl.curate.step import Reader, Step, Tools, Unit, WholeStep
from mimovl.errors import UsageError
from mimovl.load_object import load_object
from mimovl.recipe_model import RecipeModel

__all__ = ["READ", "Job", "Limits", "Part", "Plan", "Segment", "Task", "label_steps", "make_plan"]

READ = "read"
"""Label of what happens before the first step."""


@dataclass(frozen=True, slots=True)
class Part:
    """A step or reader as text: the class's name and its settings; any process makes the same of it."""

    name: str
    """package.module:Class, or file.py:Class."""
    settings: str
    """JSON."""

    @classmethod
    def of(cls, model: RecipeModel) -> Part:
        """Write a step or reader down."""
        kind = type(model)
        module = sys.modules[kind.__module__]
        source = kind.__module__
        if source in ("__main__", "__mp_main__") or source.startswith("mimovl_file"):
            source = str(Path(str(module.__file__)))
        if "<locals>" in kind.__qualname__:
            raise UsageError(f"{kind.__qualname__} is made inside a function; move it to the top of its file")
        return cls(f"{source}:{kind.__qualname__}", model.model_dump_json())

    def make(self) -> Any:
        """The step or reader again."""
        kind: Any = load_object(self.name, "steps")
        return kind.model_validate_json(self.settings)


@dataclass(frozen=True)
class Limits:
    """How much is held and done at once. All but ``attempts`` are part of what a curation is: they cut the shards."""

    task_items: int = 1024
    """Records of a task, about: what is lost when a worker is."""
    task_units: int = 256
    """Pieces of input of a task, at most."""
    chunk_items: int = 256
    """Records handed to a step at once, at most."""
    chunk_bytes: int = 32 << 20
    """Bytes of media and text handed to a step at once, but for a single larger record."""
    shard_bytes: int = 256 << 20
    """Size at which a file of the dataset is closed and the next begun."""
    attempts: int = 3
    """Tries of a task whose worker died."""


@dataclass(frozen=True, slots=True)
class Task:
    """Consecutive pieces of one source."""

    number: int
    reader: int
    units: tuple[Unit, ...]
    items: int


@dataclass(frozen=True, slots=True)
class Segment:
    """Steps between two that must see everything. Numbers of steps."""

    number: int
    decide: int | None
    steps: tuple[int, ...]
    observe: int | None
    unique: bool = False
    """Of samples with one id all but the first go before anything else."""


@dataclass(frozen=True)
class Plan:
    """A curation, picklable: what every worker is told."""

    readers: tuple[Part, ...]
    steps: tuple[Part, ...]
    labels: tuple[str, ...]
    segments: tuple[Segment, ...]
    tools: Callable[[], Tools]
    work: Path
    """Folder for what is under way."""
    limits: Limits
    drop_errors: bool = False
    """What a step raises drops the sample, instead of stopping the run."""
    allow_network: bool = False

    def with_unique_ids(self) -> Plan:
        """The same with a segment behind the first that takes out samples whose id came before, and observes anew."""
        first, *rest = self.segments
        unique = Segment(1, None, (), first.observe, unique=True)
        later = [replace(segment, number=segment.number + 1) for segment in rest]
        return replace(self, segments=(first, unique, *later))

    def about(self, tasks: Sequence[Task]) -> str:
        """A digest of all that the output depends on."""
        facts = [
            __version__, [(part.name, part.settings) for part in (*self.readers, *self.steps)],
            [(task.reader, [(unit.name, repr(unit.where), unit.items) for unit in task.units]) for task in tasks],
            self.tools().seed, [value for name, value in _values(self.limits) if name != "attempts"],
            self.drop_errors, self.allow_network,
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(facts, default=str).encode(errors="backslashreplace")).hexdigest()


@dataclass(frozen=True, slots=True)
class Job:
    """One task in one segment."""

    segment: int
    task: Task
    first_chunk: int = 0
    """Number of the task's first chunk among all of the segment before."""


def make_plan(
    readers: Sequence[Reader],
    steps: Sequence[Step | WholeStep],
    *,
    tools: Callable[[], Tools],
    work: Path,
    limits: Limits,
    drop_errors: bool = False,
    allow_network: bool = False,
) -> tuple[Plan, list[Task]]:
    """Cut the steps into segments and the input into tasks.

    Raises:
        DataError: a source holds nothing.
        UsageError: two pieces of a source have the same name, or a step cannot be made again elsewhere.
    """
    segments: list[Segment] = []
    decide: int | None = None
    inner: list[int] = []
    for number, step in enumerate(steps):
        if isinstance(step, WholeStep):
            segments.append(Segment(len(segments), decide, tuple(inner), number))
            decide, inner = number, []
        else:
            inner.append(number)
    segments.append(Segment(len(segments), decide, tuple(inner), None))
    plan = Plan(
        readers=tuple(map(Part.of, readers)),
        steps=tuple(map(Part.of, steps)),
        labels=label_steps(steps),
        segments=tuple(segments),
        tools=tools,
        work=work,
        limits=limits,
        drop_errors=drop_errors,
        allow_network=allow_network,
    )
    return plan, _tasks(readers, limits)


def label_steps(steps: Sequence[Step | WholeStep]) -> tuple[str, ...]:
    """What each step is called in counts and stories: its name, numbered where it comes again."""
    seen: Counter[str] = Counter()
    labels = []
    for step in steps:
        name = str(getattr(step, "step", type(step).__name__))
        seen[name] += 1
        labels.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return tuple(labels)


def _tasks(readers: Sequence[Reader], limits: Limits) -> list[Task]:
    tasks: list[Task] = []
    for number, reader in enumerate(readers):
        units = reader.units()
        if twice := [name for name, count in Counter(unit.name for unit in units).items() if count > 1]:
            raise UsageError(f"read.{number}: two pieces are named {twice[0]!r}; names must differ")
        group: list[Unit] = []
        items = 0
        for unit in units:
            if group and (items + unit.items > limits.task_items or len(group) >= limits.task_units):
                tasks.append(Task(len(tasks), number, tuple(group), items))
                group, items = [], 0
            group.append(unit)
            items += unit.items
        if group:
            tasks.append(Task(len(tasks), number, tuple(group), items))
    return tasks


def _values(limits: Limits) -> list[tuple[str, int]]:
    return [(name, getattr(limits, name)) for name in limits.__dataclass_fields__]
