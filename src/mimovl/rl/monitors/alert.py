"""What a monitor sees of an update, and what it may say about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mimovl.types import Rollout, RolloutGroup

__all__ = ["Alert", "Monitor", "Recent", "Update", "by_task", "mean"]


@dataclass(frozen=True)
class Update:
    """An update as monitors see it: all groups sampled for it, and its figures."""

    number: int
    groups: Sequence[RolloutGroup]
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Alert:
    """A known failure, with the number that shows it and examples, the most telling first."""

    monitor: str
    task: str
    """Empty where it is not about one task."""
    message: str
    value: float
    limit: float
    groups: tuple[RolloutGroup, ...] = ()
    kind: str = ""
    """Which of the failures that its monitor knows; empty where it knows one. Each is said for itself."""


class Monitor(Protocol):
    """Looks at every update."""

    def look(self, update: Update) -> list[Alert]:
        """What is wrong, if anything; a failure that lasts is found at every update."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What later judgements depend on, as JSON."""
        ...


class Recent:
    """The last values by name, at most so many of each; its state is plain JSON.

    Args:
        most: values kept.
        state: of an earlier one.
    """

    def __init__(self, most: int, state: Mapping[str, Sequence[Any]] | None = None) -> None:
        self.most = most
        self.values: dict[str, list[Any]] = {name: list(values) for name, values in (state or {}).items()}

    def add(self, name: str, *values: Any) -> list[Any]:
        """One more of a name, or several; all that are kept of it."""
        kept = self.values.setdefault(name, [])
        kept.extend(values)
        del kept[: -self.most]
        return kept

    def full(self, name: str) -> bool:
        """Whether as many are kept as may be."""
        return len(self.values.get(name, ())) >= self.most


def by_task(groups: Sequence[RolloutGroup]) -> Iterator[tuple[str, list[RolloutGroup], list[Rollout]]]:
    """Each task in order of name, its groups and all their rollouts."""
    members: dict[str, list[RolloutGroup]] = {}
    for group in groups:
        members.setdefault(group.request.sample.task, []).append(group)
    for task, own in sorted(members.items()):
        yield task, own, [rollout for group in own for rollout in group.rollouts]


def mean(values: Sequence[float]) -> float:
    """Their mean; 0 of none."""
    return sum(values) / max(1, len(values))
