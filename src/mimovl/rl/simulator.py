"""A simulated engine and simulated rewards under one clock, for the collector of ``seamless.py``: the code that trains.

A world knows what no scheduler may know before its time: how long each answer is, whether it is right, and how long its
reward takes, all functions of the prompt's seed. Engines decode at the pace of their memory. Nothing is computed
meanwhile: the clock jumps from one event to the next.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mimovl.generate import Finished
from mimovl.rl.ledger import Failure
from mimovl.rl.reward_queue import Rewarded
from mimovl.rl.simulated_replica import Hardware, Moved, Replica
from mimovl.types import Completion, Outcome, Request, Sample, Verdict

__all__ = ["SimulatedEngine", "SimulatedRewards", "SimulatedTime", "World"]


@dataclass(frozen=True)
class World:
    """What happens, drawn from a few statistics; every draw is a function of the seed and the prompt's.

    A prompt has a difficulty of its own: the longer its answers, the rarer are right ones.
    """

    informative: float = 0.41
    """Share of prompts some of whose answers are right and some wrong (MiMo-7B: a mean pass rate of 41 %)."""
    longest: int = 32_768
    """Tokens after which an answer is cut."""
    mean: float = 0.307
    """Mean length as a share of the longest."""
    skew: float = 0.9
    """Standard deviation of the length's logarithm."""
    within: float = 0.5
    """Share of that variance that lies within a group."""
    reward_seconds: float = 0.0
    """Median time a group's reward takes."""
    reward_skew: float = 1.0
    """Standard deviation of that time's logarithm."""
    seed: int = 0

    def lengths(self, request: Request) -> np.ndarray:
        """Tokens of each answer, shape (samples,)."""
        rng = self._rng(request, 0)
        common = math.sqrt(1 - self.within) * rng.standard_normal()
        own = math.sqrt(self.within) * rng.standard_normal(request.num_samples)
        drawn = np.exp(self._location + self.skew * (common + own))
        lengths: np.ndarray = np.clip(drawn, 1, self.longest).astype(int)
        return lengths

    def right(self, request: Request) -> list[bool]:
        """Whether each answer is right."""
        rng = self._rng(request, 1)
        if rng.random() >= self.informative:
            return [bool(rng.random() < 0.5)] * request.num_samples
        number = int(rng.integers(1, request.num_samples))
        return list(rng.permutation(request.num_samples) < number)

    def latency(self, seed: int) -> float:
        """Seconds the reward of a group takes."""
        rng = np.random.default_rng([self.seed, 2, seed])
        return float(self.reward_seconds * np.exp(self.reward_skew * rng.standard_normal()))

    @cached_property
    def _location(self) -> float:
        """Mean of the length's logarithm for which the mean of lengths, cut ones too, is as given."""
        low, high = 0.0, math.log(self.longest) + 3
        grid = np.exp(self.skew * np.random.default_rng(0).standard_normal(20_000))
        for _ in range(40):
            middle = (low + high) / 2
            if np.minimum(np.exp(middle) * grid, self.longest).mean() < self.mean * self.longest:
                low = middle
            else:
                high = middle
        return low

    def _rng(self, request: Request, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, purpose, request.sampling.seed])


class SimulatedTime:
    """The one clock; it says when rewards arrive, which engine and rewards both wait for."""

    def __init__(self) -> None:
        self.now = 0.0
        self.arrivals: list[float] = []

    def __call__(self) -> float:
        """Seconds since the beginning."""
        return self.now

    def next_arrival(self) -> float:
        """When the next reward is there; never, if none is awaited."""
        while self.arrivals and self.arrivals[0] <= self.now:
            heapq.heappop(self.arrivals)
        return self.arrivals[0] if self.arrivals else math.inf


class _Tokens(Sequence[int]):
    """So many tokens, without a list of them."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: Any) -> Any:
        return range(self._count)[place]  # any numbers will do


class SimulatedEngine:
    """A cluster of engines that takes time and does no work.

    Groups start in order, each as soon as an engine has room for all its samples, on the emptiest one.

    Args:
        world: lengths.
        time: of the simulation.
        slots: samples at once, on all engines together.
        hardware: engines and their pace.
        moves: whether an engine that has run dry takes half the samples of the fullest one.
    """

    def __init__(
        self,
        world: World,
        time: SimulatedTime,
        *,
        slots: int,
        hardware: Hardware | None = None,
        moves: bool = False,
    ) -> None:
        self.world = world
        self.time = time
        self.slots = slots
        self.hardware = hardware or Hardware()
        self.moves = moves
        self.asked: list[int] = []
        """Seeds of the requests taken."""
        self._now = 0.0
        """Seconds of work; between two steps engines stand still, however late it gets."""
        self._tickets = 0
        self._waiting: deque[tuple[int, Request]] = deque()
        self._replicas = [Replica(self.hardware) for _ in range(self.hardware.engines)]
        self._moving: list[tuple[float, int, int, Moved]] = []
        """When it arrives, a number, on which engine, and what; a heap."""
        self._moves = 0
        self._ends: list[tuple[float, int]] = []
        """When each busy engine's next sample ends; a heap. Entries may be out of date."""
        self._cancelled: set[int] = set()

    @property
    def busy_seconds(self) -> float:
        """Seconds with a sample, of all engines together."""
        return sum(replica.busy for replica in self._replicas)

    def refresh(self, model: object) -> None:
        """There is no policy."""

    def submit(self, request: Request) -> int:
        """Take a request."""
        self._tickets += 1
        self._waiting.append((self._tickets, request))
        self.asked.append(request.sampling.seed)
        return self._tickets

    def cancel(self, ticket: int) -> None:
        """Stop a request."""
        self._cancelled.add(ticket)

    def step(self) -> list[Finished]:
        """Let time pass until a sample ends or a reward arrives; or report what was cancelled."""
        if self._cancelled:
            return self._drop()
        self._place()
        if self.moves:
            self._even_out()
        while self._ends and self._ends[0][0] != self._replicas[self._ends[0][1]].next_end():
            heapq.heappop(self._ends)
        if not self._ends and not self._moving:
            return []
        end, number = self._ends[0] if self._ends else (math.inf, 0)
        moved = self._moving[0][0] if self._moving else math.inf
        if (arrival := self._now + self.time.next_arrival() - self.time.now) < min(end, moved):
            self.time.now, self._now = self.time.next_arrival(), arrival
            return []
        if moved < end:
            self._pass(moved)
            _, _, number, what = heapq.heappop(self._moving)
            self._replicas[number].advance(self._now)
            self._replicas[number].adopt(what)
            self._note(number)
            return []
        self._pass(end)
        replica = self._replicas[number]
        replica.advance(end)
        done = replica.ended()
        self._note(number)
        return [Finished(ticket, sample, self._completion(length)) for ticket, sample, length in done]

    def _place(self) -> None:
        room = self.slots // len(self._replicas)
        while self._waiting:
            ticket, request = self._waiting[0]
            number = min(range(len(self._replicas)), key=lambda one: self._replicas[one].reserved)
            replica = self._replicas[number]
            if replica.reserved + request.num_samples > room:
                return
            self._waiting.popleft()
            replica.advance(self._now)
            replica.add(ticket, self.world.lengths(request).tolist())
            self._note(number)

    def _pass(self, until: float) -> None:
        """Let time pass until then."""
        self.time.now, self._now = self.time.now + until - self._now, until

    def _even_out(self) -> None:
        """Engines that have run dry take half the samples of the fullest one, once nothing waits."""
        for number, dry in enumerate(self._replicas):
            if dry.reserved or self._waiting:
                continue
            fullest = max(range(len(self._replicas)), key=lambda one: len(self._replicas[one].running))
            full = self._replicas[fullest]
            if len(full.running) < 2:
                return
            full.advance(self._now)
            moved = full.give(len(full.running) // 2)
            self._note(fullest)
            dry.reserved += len(moved)
            for one in moved:
                self._moves += 1
                arrives = self._now + one.written * self.hardware.seconds_per_moved_token
                heapq.heappush(self._moving, (arrives, self._moves, number, one))

    def _note(self, number: int) -> None:
        if (end := self._replicas[number].next_end()) < math.inf:
            heapq.heappush(self._ends, (end, number))

    def _completion(self, length: int, *, cancelled: bool = False) -> Completion:
        reason: Any = "cancelled" if cancelled else "length" if length >= self.world.longest else "stop"
        tokens: Any = _Tokens(length)
        return Completion("", reason, tokens)

    def _drop(self) -> list[Finished]:
        """What was cancelled, with the tokens it had written."""
        self._waiting = deque(one for one in self._waiting if one[0] not in self._cancelled)
        found = []
        for _, _, number, one in [moving for moving in self._moving if moving[3].ticket in self._cancelled]:
            self._replicas[number].reserved -= 1
            done = self._completion(int(one.written), cancelled=True)
            found.append(Finished(one.ticket, one.sample, done))
        self._moving = [moving for moving in self._moving if moving[3].ticket not in self._cancelled]
        heapq.heapify(self._moving)
        for number, replica in enumerate(self._replicas):
            replica.advance(self._now)
            if gone := replica.drop(self._cancelled):
                found += [Finished(one, sample, self._completion(n, cancelled=True)) for one, sample, n in gone]
            self._note(number)
        self._cancelled = set()
        return found


class SimulatedRewards:
    """A ``RewardQueue`` whose verdicts arrive when the world says so.

    Args:
        world: right and wrong, and latencies.
        time: of the simulation.
        requests: finds a sample's request again, by the sample's id.
        fails: whether the group under this key brings no reward.
    """

    def __init__(
        self,
        world: World,
        time: SimulatedTime,
        requests: Callable[[int], Request],
        *,
        fails: Callable[[int], bool] = lambda key: False,
    ) -> None:
        self.world = world
        self.time = time
        self.requests = requests
        self.fails = fails
        self._due: list[tuple[float, int]] = []

    def submit(self, key: int, sample: Sample, completions: Sequence[Completion]) -> None:
        """Reward a group."""
        due = self.time.now + self.world.latency(key)
        heapq.heappush(self._due, (due, key))
        heapq.heappush(self.time.arrivals, due)

    def poll(self) -> list[Rewarded]:
        """What has arrived by now."""
        found = []
        while self._due and self._due[0][0] <= self.time.now:
            _, key = heapq.heappop(self._due)
            if self.fails(key):
                found.append(Rewarded(key, None, Failure("reward-raised", f"group {key}: as simulated")))
                continue
            verdicts = [
                Verdict(float(right), Outcome.CORRECT if right else Outcome.WRONG)
                for right in self.world.right(self.requests(key))
            ]
            found.append(Rewarded(key, tuple(verdicts)))
        return found

    def wait(self, seconds: float) -> None:
        """Let time pass until the next reward is there; waiting costs no steps here, so for as long as it takes."""
        if self._due:
            self.time.now = max(self.time.now, self._due[0][0])

    def forget(self) -> None:
        """Nothing is wanted any more."""
        self._due.clear()
        self.time.arrivals.clear()
