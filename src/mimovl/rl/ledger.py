"""The groups of one step in the order they were started, and when they make a full batch.

A batch is the first ``groups`` informative groups in the order of starting, whoever finishes first. It is full once
everything started up to the last of them is decided; what was started later is surplus. So what is accepted depends on
the prompts' order alone, never on how long an answer or its reward took, and long answers are not crowded out by
short ones (first in, first out; MiMo-7B §3.4).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mimovl.rl.advantage import group_advantages
from mimovl.types import Completion, Request, Rollout, RolloutGroup, Verdict

__all__ = ["Entry", "Failure", "Ledger"]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a group is dropped: a short stable word, and the whole story."""

    reason: str
    message: str


@dataclass(slots=True, eq=False)
class Entry:
    """One group: started, then finished, then decided (rewarded, or dropped for a fault)."""

    number: int
    """Of the draw."""
    request: Request
    owner: int
    """Rank of the process that rolls it out."""
    completions: tuple[Completion, ...] | None = None
    verdicts: tuple[Verdict, ...] | None = None
    failure: Failure | None = None
    parts: dict[int, Completion] = field(default_factory=dict)
    """Samples done so far, by place; known to its owner."""

    @property
    def decided(self) -> bool:
        """Whether nothing more is awaited."""
        return self.verdicts is not None or self.failure is not None

    @property
    def rewards(self) -> list[float]:
        """Of its samples; none where it was dropped."""
        return [verdict.score for verdict in self.verdicts or ()]

    def fault_in(self, completions: Sequence[Completion], forbidden: frozenset[int]) -> Failure | None:
        """Why no update can be built on these answers; ``forbidden`` are the tokens that stand for no text."""
        where = f"sample {self.request.sample.id}: an answer"
        if not all(len(one.tokens) for one in completions):
            return Failure("empty", f"{where} has no token, not even its end, and can teach nothing")
        if forbidden and any(not forbidden.isdisjoint(one.tokens) for one in completions):
            return Failure("visual-token", f"{where} holds a visual token, which stands for no text")
        return None

    def rolled_out(self, version: int) -> RolloutGroup:
        """The prompt's completions with their rewards and advantages; ``version`` is the policy's."""
        advantages = group_advantages(self.rewards)
        rollouts = [
            Rollout(completion, verdict.score, verdict, advantage)
            for completion, verdict, advantage in zip(
                self.completions or (), self.verdicts or (), advantages, strict=True
            )
        ]
        return RolloutGroup(self.request, rollouts, policy_version=version)


class Ledger:
    """What has become of a step's groups.

    Args:
        groups: informative groups of a full batch.
        is_valid: whether a group with these rewards belongs into the batch.
    """

    def __init__(self, groups: int, is_valid: Callable[[Sequence[float]], bool]) -> None:
        self.groups = groups
        self.is_valid = is_valid
        self.entries: list[Entry] = []
        self.valid = 0
        """Decided informative groups, wherever they stand."""
        self.open = 0
        """Groups not yet decided."""
        self.faults = 0
        """Groups dropped, wherever they stand."""
        self.cut: int | None = None
        """Entries up to the last of a full batch, itself included; None until it is full."""
        self._places: dict[int, int] = {}
        self._frontier = 0
        self._settled = 0

    def __getitem__(self, number: int) -> Entry:
        return self.entries[self._places[number]]

    def start(self, entry: Entry) -> None:
        """A group begins."""
        self._places[entry.number] = len(self.entries)
        self.entries.append(entry)
        self.open += 1

    def finish(self, number: int, completions: Sequence[Completion]) -> None:
        """All samples of a group are there."""
        self[number].completions = tuple(completions)

    def decide(self, number: int, verdicts: Sequence[Verdict] | None, failure: Failure | None = None) -> None:
        """A group is rewarded, or dropped."""
        entry = self[number]
        assert not entry.decided, f"group {number} is decided twice"
        if failure is None:
            entry.verdicts = tuple(verdicts or ())
            self.valid += self.is_valid(entry.rewards)
        else:
            entry.failure = failure
            self.faults += 1
        self.open -= 1
        while self._frontier < len(self.entries) and self.entries[self._frontier].decided and self.cut is None:
            self._settled += self._valid(self.entries[self._frontier])
            self._frontier += 1
            if self._settled == self.groups:
                self.cut = self._frontier

    def accepted(self) -> list[Entry]:
        """The batch: a full one, or the informative groups there are."""
        return [entry for entry in self.entries[: self.cut] if self._valid(entry)]

    def _valid(self, entry: Entry) -> bool:
        return entry.verdicts is not None and self.is_valid(entry.rewards)
