"""Where a loader stands, what it left out, and how places are handed on to another number of loaders.

    state.state_dict()  →  JSON in a checkpoint  →  LoaderState.from_state_dict(…)
    reshard(states of 8 loaders, 6, mixture)     →  states of 6 that go on with the very samples the 8 had left

A draw is a number in one stream that all loaders side by side share out; so a place is a draw and the few samples that
were drawn and still wait in the packer's window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from mimovl.errors import DataError

__all__ = ["DrawOrder", "Dropped", "LoaderState", "add_drops", "reshard"]


class DrawOrder(Protocol):
    """Which sample each draw is."""

    order: str
    """Tells two orders apart; empty where nothing does."""

    def stream(self, start: int = 0) -> Iterator[int]:
        """Sample indices from draw number ``start`` on, for ever."""
        ...


@dataclass(frozen=True)
class Dropped:
    """A sample left out, and why."""

    id: str
    reason: str
    detail: str


@dataclass(frozen=True)
class LoaderState:
    """Where a loader stands."""

    next_draw: int = 0
    """Number of the loader's next draw."""
    waiting: tuple[int, ...] = ()
    """Dataset indices drawn but not yet packed, oldest first."""
    dropped: tuple[tuple[str, int], ...] = ()
    """How many draws were left out so far, by reason."""
    order: str = ""
    """Of what the draws are numbers; a loader of other data refuses the state."""

    def state_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "next_draw": self.next_draw,
            "waiting": list(self.waiting),
            "dropped": dict(self.dropped),
            "order": self.order,
        }

    @classmethod
    def from_state_dict(cls, values: Mapping[str, Any]) -> LoaderState:
        """What :meth:`state_dict` wrote.

        Raises:
            DataError: an entry is missing or of another kind.
        """
        try:
            return cls(
                next_draw=int(values["next_draw"]),
                waiting=tuple(int(index) for index in values["waiting"]),
                dropped=tuple((str(reason), int(count)) for reason, count in dict(values.get("dropped", {})).items()),
                order=str(values.get("order", "")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"the state of a loader cannot be read ({error!r}); use one that mimovl saved") from None


def add_drops(counts: Sequence[tuple[str, int]], dropped: Iterable[Dropped]) -> tuple[tuple[str, int], ...]:
    """Counts by reason with some more."""
    total = dict(counts)
    for one in dropped:
        total[one.reason] = total.get(one.reason, 0) + 1
    return tuple(sorted(total.items()))


def reshard(states: Sequence[LoaderState], count: int, mixture: DrawOrder) -> list[LoaderState]:
    """Hand the places of some loaders on to another number of them.

    No sample is lost and none comes twice: what the old loaders had drawn and not packed, and the draws of those that
    lay behind, are shared out first; then all go on from the draw where the foremost stood.

    Args:
        states: of all loaders side by side, in the order of their lanes.
        count: loaders that go on.
        mixture: what they draw from.

    Raises:
        DataError: the states are of different data, or there are none.
    """
    if not states or count < 1:
        raise DataError(f"{len(states)} states of loaders cannot be shared out among {count}; both are 1 or more")
    if len(orders := {state.order for state in states}) > 1:
        raise DataError(f"the states of {len(states)} loaders are of {len(orders)} different orders of data")
    if count == len(states):
        return list(states)
    size = len(states)
    taken = [state.next_draw for state in states]
    start = -(-max(taken) * size // count)
    waiting = [index for state in states for index in state.waiting]
    first = min(taken) * size
    for draw, index in enumerate(islice(mixture.stream(first), start * count - first), first):
        if draw // size >= taken[draw % size]:
            waiting.append(index)
    counts: dict[str, int] = {}
    for reason, number in (entry for state in states for entry in state.dropped):
        counts[reason] = counts.get(reason, 0) + number
    return [
        LoaderState(
            start, tuple(waiting[lane::count]), tuple(sorted(counts.items())) if lane == 0 else (), states[0].order
        )
        for lane in range(count)
    ]
