"""The seam of curation: what a step and a reader are. The runner, and every filter anyone adds, meet here.

A record is a ``Sample`` from the moment it is read: a caption is its picture and one assistant text, a page its texts
and pictures in one assistant message. A step takes a batch of samples and says of each what becomes of it:

    class NotTooShort(Step):
        step: Literal["not_too_short"] = "not_too_short"
        words: int = 3

        def open(self, tools: Tools) -> Apply:
            def apply(batch: Sequence[Sample]) -> list[Result]:
                return [s if len(s.messages[-1].text.split()) >= self.words else Dropped("too_short") for s in batch]
            return apply

What a step returns may depend on the samples and its own fields only, never on the batch they come in, on the order of
batches or on the worker: so any number of workers, and a run that was killed and resumed, write the same bytes.
A step that must have seen everything (duplicates, balancing) is a ``WholeStep``: each shard is observed where it lies,
one process settles what was observed, then each shard is decided alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mimovl.recipe_model import RecipeModel
from mimovl.types import Generate, Sample

__all__ = ["Apply", "Dropped", "Reader", "Result", "Step", "Tools", "Unit", "WholeStep"]


@dataclass(frozen=True, slots=True)
class Dropped:
    """Why a record goes no further. ``reason`` is one of few words (``too_short``); ``detail`` says it of this one."""

    reason: str
    detail: str = ""


Result = Sample | Dropped | list[Sample]
"""A sample goes on (as it was, or changed; with its id it stays the same record), is dropped, or becomes several."""

Apply = Callable[[Sequence[Sample]], list[Result]]
"""One result for each sample of the batch, in order."""


class Tools(Protocol):
    """What a step may ask for, once in each worker process."""

    def generate(self, name: str) -> Generate:
        """The model of that name in the recipe's ``models``.

        Raises:
            RecipeError: there is none; names those there are.
        """
        ...

    @property
    def seed(self) -> int:
        """The recipe's."""
        ...

    @property
    def cache(self) -> Path:
        """A folder for what is dear to make again (answers of models), kept between runs, safe to share by workers."""
        ...


class Step(RecipeModel, ABC):
    """A step as the recipe states it; each subclass adds ``step: Literal["its_name"]`` and its settings as fields."""

    @abstractmethod
    def open(self, tools: Tools) -> Apply:
        """Get ready in this process (load tables, compile automata) and return the function to call on batches."""


class WholeStep(RecipeModel, ABC):
    """A step that decides about each record from what all of them are."""

    @abstractmethod
    def observe(self, batch: Sequence[Sample], tools: Tools) -> Any:
        """What must be known of these samples; small, picklable. In a worker, a shard at a time."""

    @abstractmethod
    def settle(self, observed: Iterator[Any], tools: Tools) -> Any:
        """Make one decision of all observations, which come in the order of shards; picklable. In one process."""

    @abstractmethod
    def decide(self, batch: Sequence[Sample], number: int, decision: Any, tools: Tools) -> list[Result]:
        """What becomes of the samples of shard ``number``. In a worker again."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of the input that one worker reads: a file, or rows of one. ``name`` is unique and sorts as the input."""

    name: str
    where: Any
    """What the reader needs to find it; picklable and small."""
    items: int = 128
    """About how many records it holds, where the reader can tell: small pieces are read together."""


class Reader(RecipeModel, ABC):
    """A source as the recipe states it; each subclass adds ``reader: Literal["its_name"]``."""

    @abstractmethod
    def units(self) -> list[Unit]:
        """All pieces, in a fixed order, without reading them through.

        Raises:
            DataError: nothing is there; says what was looked for.
        """

    @abstractmethod
    def read(self, unit: Unit) -> Iterator[tuple[str, Sample | Dropped]]:
        """Id and record of each item of the piece; what is broken is a ``Dropped``, never an exception."""
