"""Collecting the rollouts of an update: seamlessly, or round by round (MiMo-7B §3.4, MiMo-VL §3.3).

    batch = Collector(engine, source, easy, rewards, config).collect(first, version)

| part                  | switched on                                   | switched off                          |
|-----------------------|-----------------------------------------------|---------------------------------------|
| continuous            | prompts start as room and foresight allow     | in rounds; all must finish            |
| asynchronous rewards  | in the background                             | sampling stands still meanwhile       |
| early termination     | what started after a full batch is aborted    | it is finished, then thrown away      |

Nothing is ever older than the policy: what a step does not accept it forgets. Its batch is the first ``groups``
informative groups in the order of the prompts, so with any switches, any number of processes and any latency a step
accepts the same prompts and answers of those it begins with, to the bit on the CPU. Where the next step begins is a
matter of the switches alone: behind the last group accepted, or, in rounds without early termination, behind whole
rounds, which are sampled and rewarded in any case. The same loop runs under the clock of ``simulator.py``.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from mimovl.errors import DataError
from mimovl.generate import RequestError, RolloutEngine
from mimovl.rl.advantage import is_informative
from mimovl.rl.config import RLConfig
from mimovl.rl.easy_pool import EasyPool
from mimovl.rl.ledger import Entry, Failure, Ledger
from mimovl.rl.prompts import PromptSource
from mimovl.rl.queue_state import restore_groups, save_groups
from mimovl.rl.reward_queue import RewardQueue
from mimovl.rl.usage import Usage
from mimovl.team import ALONE, Team
from mimovl.types import Completion, Request, RolloutGroup, Verdict

__all__ = ["Batch", "Collector"]

SHARE_WEIGHT = 16.0
"""Groups that what earlier steps have shown of the informative share counts for, beside this step's own."""
ALWAYS_DROPPED = 3
STANDSTILL = 0.25
"""Share of a batch that is rewarded at once where rewards are not asynchronous."""
TEAM_STEPS = 8
"""Engine steps between two exchanges of a team."""
MOMENT = 0.05
"""Seconds of one wait for rewards."""


@dataclass(slots=True)
class _News:
    """What has happened in one process since the last exchange."""

    finished: list[tuple[int, tuple[Completion, ...]]] = field(default_factory=list)
    decided: list[tuple[int, tuple[Verdict, ...] | None, Failure | None]] = field(default_factory=list)
    load: int = 0
    """Samples it still has to finish."""


@dataclass(slots=True)
class Batch:
    """What a step is made of."""

    kept: list[RolloutGroup]
    """Groups of the update, in the order of the prompts."""
    sampled: list[RolloutGroup]
    """All groups the choice was made from; none that is surplus."""
    draws: int
    """Prompts this step has used up; the next step goes on behind them."""
    share: float
    """Informative groups among them, for the next step's foresight."""
    dropped: list[tuple[Request, Failure]]
    """Groups that a fault has cost, each with its reason."""
    figures: dict[str, Any] = field(default_factory=dict)


class Collector:
    """Collects the rollouts of one step after another.

    Args:
        engine: answers; it must hold the policy whenever :meth:`collect` is called.
        source: prompts by number.
        easy: always solved prompts, noted here.
        rewards: of finished groups.
        config: what to collect, and how.
        team: processes with an engine each, which share the prompts; all must call :meth:`collect`.
        clock: seconds; a simulation has its own.
    """

    def __init__(
        self,
        engine: RolloutEngine,
        source: PromptSource,
        easy: EasyPool,
        rewards: RewardQueue,
        config: RLConfig,
        *,
        team: Team = ALONE,
        forbidden: frozenset[int] = frozenset(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.engine = engine
        self.source = source
        self.easy = easy
        self.rewards = rewards
        self.config = config
        self.team = team
        self.forbidden = forbidden
        self.clock = clock
        self._in_rounds = not config.rollout.continuous
        self._most = math.ceil(
            config.groups * (config.oversample * config.max_rounds if config.dynamic_sampling else 3)
        )

    def collect(
        self,
        first: int,
        version: int,
        *,
        share: float | None = None,
        restored: Mapping[str, Any] | None = None,
        save: Callable[[Callable[[], dict[str, Any]]], None] | None = None,
    ) -> Batch:
        """Groups for one update.

        Args:
            first: number of the first prompt.
            version: of the policy.
            share: of informative groups, as the step before found it.
            restored: what ``save`` was given before the process ended; what is in it is not done again.
            save: is offered the queue after each step of the engine, and asks for it when it wants to keep it.

        Raises:
            DataError: faults have dropped too many groups, or none can teach anything; names the first fault.
        """
        self._begin(first, share, restored)
        ledger = self._ledger
        try:
            while self._start() or not self._over():
                news = self.team.gather(self._work())
                for one in news:
                    for number, completions in one.finished:
                        ledger.finish(number, completions)
                    for number, verdicts, failure in one.decided:
                        ledger.decide(number, verdicts, failure)
                self._loads = [one.load for one in news]
                self._check_dropped()
                if save and self.team.leads:
                    save(partial(save_groups, first, version, ledger.entries))
        finally:
            self._abort()
        return self._batch(version)

    # ------------------------------------------------------------ starting

    def _begin(self, first: int, share: float | None, restored: Mapping[str, Any] | None) -> None:
        config = self.config
        self._ledger = Ledger(config.groups, self._is_valid)
        self._restored = restore_groups(restored)
        self._first = first
        self._start_share = share if share is not None else 1.0 / config.oversample
        self._rounds = 0
        self._noted = 0
        self._ahead: list[Request] = []
        self._tickets: dict[int, Entry] = {}
        self._loads = [0] * self.team.size
        self._unrewarded: list[Entry] = []
        self._awaited: dict[int, Entry] = {}
        self._told = _News()
        self._load = 0
        self._usage = Usage(self.engine.slots, self.clock)

    def _is_valid(self, rewards: Sequence[float]) -> bool:
        return not self.config.dynamic_sampling or is_informative(rewards, spread=self.config.min_spread)

    def _start(self) -> bool:
        """Start what is wanted now; whether anything was."""
        before = len(self._ledger.entries)
        if self._in_rounds:
            self._start_round()
        else:
            while self._falls_short() and (owner := self._roomy()) is not None:
                if not self._ahead:
                    number = self._first + len(self._ledger.entries)
                    self._ahead = self.source.draw(number, 32, self.easy if self.config.easy_share else None)[::-1]
                self._ask(self._ahead.pop(), owner)
        return len(self._ledger.entries) > before

    def _start_round(self) -> None:
        ledger, config = self._ledger, self.config
        missing = config.groups - ledger.valid
        if ledger.open or missing <= 0 or self._rounds == config.max_rounds:
            return
        self._rounds += 1
        self._note_easy(len(ledger.entries))
        count = config.rollout.round_groups
        if count is None:
            count = max(1, round(missing * config.oversample)) if config.dynamic_sampling else missing
        elif not config.dynamic_sampling:
            count = min(count, missing)
        easy = self.easy if config.easy_share else None
        for number, request in enumerate(self.source.draw(self._first + len(ledger.entries), count, easy)):
            self._ask(request, number % self.team.size)

    def _falls_short(self) -> bool:
        """Whether the valid groups there are and those to be expected do not fill the batch."""
        ledger = self._ledger
        if len(ledger.entries) >= self._most:
            return False
        share = 1.0
        if self.config.dynamic_sampling:
            decided = len(ledger.entries) - ledger.open
            share = (SHARE_WEIGHT * self._start_share + ledger.valid) / (SHARE_WEIGHT + decided)
        spread = math.sqrt(ledger.open * share * (1 - share))
        return ledger.valid + share * ledger.open - self.config.rollout.margin * spread < self.config.groups

    def _roomy(self) -> int | None:
        """The process with most room, if a group fits in there."""
        owner = min(range(self.team.size), key=self._loads.__getitem__)
        return (
            owner if self._loads[owner] + self.config.samples <= self.engine.slots or not self._loads[owner] else None
        )

    def _ask(self, request: Request, owner: int) -> None:
        number = self._first + len(self._ledger.entries)
        entry = Entry(number, request, owner)
        self._ledger.start(entry)
        if (known := self._restored.get(number)) and known.answers(request):
            self._ledger.finish(number, known.completions)
            if known.verdicts is not None:
                self._ledger.decide(number, known.verdicts)
            elif owner == self.team.rank:
                self._unrewarded.append(entry)
            return
        self._loads[owner] += request.num_samples
        if owner == self.team.rank:
            self._load += request.num_samples
            try:
                self._tickets[self.engine.submit(request)] = entry
            except DataError as error:
                self._drop(None, entry, Failure("prompt", str(error)), self._told)

    # ------------------------------------------------------------ work of this process

    def _work(self) -> _News:
        """A step of the engine, and what has become of rewards; for a team a few steps."""
        news, self._told = self._told, _News()
        for _ in range(TEAM_STEPS if self.team.size > 1 else 1):
            if self._tickets:
                self._advance(news)
        rollout = self.config.rollout
        # Where sampling stands still meanwhile, rewards are asked for many at once.
        many = (
            self.config.groups * STANDSTILL / self.team.size
            if rollout.continuous or rollout.early_termination
            else math.inf
        )
        if rollout.asynchronous_rewards or not self._tickets or len(self._unrewarded) >= many:
            for entry in self._unrewarded:
                assert entry.completions is not None
                self._awaited[entry.number] = entry
                self.rewards.submit(entry.number, entry.request.sample, entry.completions)
            self._unrewarded = []
        if self._awaited and not self._tickets:
            self.rewards.wait(MOMENT / self.team.size)
        self._gather_rewards(news)
        while self._awaited and not rollout.asynchronous_rewards:
            self.rewards.wait(MOMENT)
            self._gather_rewards(news)
        news.load = self._load
        return news

    def _advance(self, news: _News) -> None:
        """One step of the engine."""
        since, running = self.clock(), self._load
        try:
            done = self.engine.step()
        except RequestError as error:
            done = []
            if entry := self._tickets.get(error.ticket):
                self._drop(error.ticket, entry, Failure(error.reason, str(error)), news)
        self._usage.worked(since, running)
        for one in done:
            self._usage.tokens += len(one.completion.tokens)
            if (entry := self._tickets.get(one.ticket)) is None:
                continue
            if one.completion.finish_reason == "cancelled":
                story = f"sample {entry.request.sample.id}: the engine gave it up"
                self._drop(one.ticket, entry, Failure("cancelled", story), news)
                continue
            self._load -= 1
            entry.parts[one.sample] = one.completion
            if len(entry.parts) == entry.request.num_samples:
                self._finished(one.ticket, entry, news)

    def _finished(self, ticket: int, entry: Entry, news: _News) -> None:
        completions = tuple(entry.parts[place] for place in range(entry.request.num_samples))
        if fault := entry.fault_in(completions, self.forbidden):
            self._drop(ticket, entry, fault, news)
            return
        del self._tickets[ticket]
        entry.completions = completions
        news.finished.append((entry.number, completions))
        self._unrewarded.append(entry)

    def _drop(self, ticket: int | None, entry: Entry, failure: Failure, news: _News) -> None:
        """Give a group up for a fault."""
        if ticket is not None:
            del self._tickets[ticket]
            self.engine.cancel(ticket)
        self._load -= entry.request.num_samples - len(entry.parts)
        news.decided.append((entry.number, None, failure))

    def _gather_rewards(self, news: _News) -> None:
        for rewarded in self.rewards.poll():
            if self._awaited.pop(rewarded.key, None):
                news.decided.append((rewarded.key, rewarded.verdicts, rewarded.failure))

    # ------------------------------------------------------------ ending

    def _over(self) -> bool:
        return not self._ledger.open or (self.config.rollout.early_termination and self._ledger.cut is not None)

    def _abort(self) -> None:
        """Forget whatever is still going on."""
        for ticket in self._tickets:
            self.engine.cancel(ticket)
        if self._tickets:
            with contextlib.suppress(RequestError):
                self._usage.tokens += sum(len(done.completion.tokens) for done in self.engine.step())
        self._tickets = {}
        self.rewards.forget()

    def _check_dropped(self) -> None:
        if self._ledger.faults <= ALWAYS_DROPPED:
            return
        used = self._used()
        dropped, most = [entry.failure for entry in used if entry.failure], self.config.rollout.max_dropped
        if len(dropped) > max(ALWAYS_DROPPED, most * len(used)):
            raise DataError(
                f"{len(dropped)} of the {len(used)} groups of this step were dropped for faults, more than max_dropped "
                f"({most:g}) of them; the first: {dropped[0].message}"
            )

    def _used(self) -> list[Entry]:
        """Groups that the step uses up: up to the last of a full batch; all as long as there is none."""
        # Round by round the whole rounds are used up, as they are in any case sampled and rewarded.
        whole = self._in_rounds and not self.config.rollout.early_termination
        return self._ledger.entries[: None if whole else self._ledger.cut]

    def _note_easy(self, end: int) -> None:
        """Note the rewards of entries up to this one that were not noted yet, in order."""
        for entry in self._ledger.entries[self._noted : end]:
            if entry.verdicts is not None:
                self.easy.note(entry.request.sample.id, entry.rewards)
        self._noted = end

    def _batch(self, version: int) -> Batch:
        ledger, config = self._ledger, self.config
        used = self._used()
        self._note_easy(len(used))
        dropped = [(entry.request, entry.failure) for entry in used if entry.failure]
        groups = {entry.number: entry.rolled_out(version) for entry in used if entry.verdicts is not None}
        kept, sampled = [groups[entry.number] for entry in ledger.accepted()], list(groups.values())
        if not kept:
            more = f", {len(dropped)} were dropped for faults" if dropped else ""
            raise DataError(
                f"{len(sampled)} prompts in {config.max_rounds} rounds all earned one reward within their group, or "
                f"rewards no more than min_spread ({config.min_spread:g}) apart{more}: nothing to learn from; check "
                "the rewards, or choose prompts the policy sometimes solves"
            )
        seen = sum(self._is_valid(entry.rewards) for entry in used if entry.verdicts is not None) / len(used)
        share = max(0.02, (self._start_share + seen) / 2)
        figures = self._figures(sampled, ledger.cut)
        figures["dropped"] = dict(Counter(failure.reason for _, failure in dropped))
        return Batch(kept, sampled, len(used), share, dropped, figures)

    def _figures(self, sampled: Sequence[RolloutGroup], cut: int | None) -> dict[str, Any]:
        """What the log says about the collection; all but ``truncated`` depends on the clock."""
        costs = self.team.gather(self._usage.figures())
        working, filled, seconds, tokens = (sum(values) for values in zip(*costs, strict=True))
        needed = sum(
            len(completion.tokens) for entry in self._ledger.entries[:cut] for completion in entry.completions or ()
        )
        cut_off = [one.completion.finish_reason == "length" for group in sampled for one in group.rollouts]
        return {
            "groups_started": len(self._ledger.entries),
            "idle": 1 - working / seconds if seconds else 0.0,
            "empty_slots": 1 - filled / seconds if seconds else 0.0,
            "waste": 1 - needed / tokens if tokens > needed else 0.0,
            "truncated": sum(cut_off) / max(1, len(cut_off)),
        }
