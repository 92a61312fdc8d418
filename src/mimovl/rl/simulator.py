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
from mimovl.types import Completion, Outcome, Request, Sample, Verdict

__all__ = ["H20", "Hardware", "SimulatedEngine", "SimulatedRewards", "SimulatedTime", "World"]


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


@dataclass(frozen=True)
class Hardware:
    """What a cluster of engines takes for a token: one pass over the weights, and one over every cache it holds.

    Decoding is bound by memory, so a pass takes the bytes it reads over the bandwidth. ``H20`` is the report's machine.
    """

    engines: int = 1
    """GPUs, each with all weights and samples of its own."""
    seconds_per_pass: float = 1.0
    """Reading the weights: one token for every running sample."""
    seconds_per_cached_token: float = 0.0
    """Reading keys and values of one token of one sample, in every pass."""


H20 = Hardware(engines=256, seconds_per_pass=15.3e9 / 4.0e12, seconds_per_cached_token=147_456 / 4.0e12)
"""The report's 256 GPUs (4.0 TB/s) with MiMo-7B in bfloat16: 15.3 GB of weights, caches of 36 layers, 8 heads, 128."""


class _Replica:
    """One engine: samples that all write at one pace, which falls as their caches grow."""

    def __init__(self, hardware: Hardware) -> None:
        self.hardware = hardware
        self.running: list[tuple[float, int, int, int]] = []
        """End (in tokens each running sample has written by then), ticket, sample, length; a heap."""
        self.reserved = 0
        """Samples of the groups that are here."""
        self.busy = 0.0
        """Seconds with a sample."""
        self._now = 0.0
        self._written = 0.0
        self._cached = 0.0

    def add(self, ticket: int, lengths: Sequence[int]) -> None:
        for sample, length in enumerate(lengths):
            heapq.heappush(self.running, (self._written + length, ticket, sample, length))
        self.reserved += len(lengths)

    def next_end(self) -> float:
        """When the next sample ends; never, if none runs."""
        if not self.running:
            return math.inf
        tokens = self.running[0][0] - self._written
        pace, growth = self._pace()
        return self._now + tokens * pace + growth * tokens * tokens / 2

    def advance(self, now: float) -> None:
        """Write until then; no sample may end before."""
        seconds = now - self._now
        self._now = now
        if not self.running or seconds <= 0:
            return
        pace, growth = self._pace()
        # From tokens · pace + growth · tokens² / 2 = seconds, in the form that also holds without growth.
        tokens = 2 * seconds / (pace + math.sqrt(pace * pace + 2 * growth * seconds))
        self.busy += seconds
        self._written += tokens
        self._cached += tokens * len(self.running)

    def ended(self) -> list[tuple[int, int, int]]:
        """Ticket, sample and length of what has ended by now."""
        done = []
        while self.running and self.running[0][0] <= self._written + 1e-6:
            _, ticket, sample, length = heapq.heappop(self.running)
            self._cached -= length
            done.append((ticket, sample, length))
        self.reserved -= len(done)
        return done

    def drop(self, tickets: set[int]) -> list[tuple[int, int, int]]:
        """Ticket, sample and tokens written of what is cancelled."""
        gone = [
            (ticket, sample, max(0, int(length - (end - self._written))))
            for end, ticket, sample, length in self.running
            if ticket in tickets
        ]
        self.running = [one for one in self.running if one[1] not in tickets]
        heapq.heapify(self.running)
        self._cached -= sum(tokens for _, _, tokens in gone)
        self.reserved -= len(gone)
        return gone

    def _pace(self) -> tuple[float, float]:
        """Seconds of a pass now, and by how much the next one is longer."""
        each = self.hardware.seconds_per_cached_token
        return self.hardware.seconds_per_pass + each * max(0.0, self._cached), each * len(self.running)


class SimulatedEngine:
    """A cluster of engines that takes time and does no work.

    Groups start in order, each as soon as an engine has room for all its samples, on the emptiest one.

    Args:
        world: lengths.
        time: of the simulation.
        slots: samples at once, on all engines together.
        hardware: engines and their pace.
    """

    def __init__(self, world: World, time: SimulatedTime, *, slots: int, hardware: Hardware | None = None) -> None:
        self.world = world
        self.time = time
        self.slots = slots
        self.hardware = hardware or Hardware()
        self.asked: list[int] = []
        """Seeds of the requests taken."""
        self._now = 0.0
        """Seconds of work; between two steps engines stand still, however late it gets."""
        self._tickets = 0
        self._waiting: deque[tuple[int, Request]] = deque()
        self._replicas = [_Replica(self.hardware) for _ in range(self.hardware.engines)]
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
        while self._ends and self._ends[0][0] != self._replicas[self._ends[0][1]].next_end():
            heapq.heappop(self._ends)
        if not self._ends:
            return []
        end, number = self._ends[0]
        if (arrival := self._now + self.time.next_arrival() - self.time.now) < end:
            self.time.now, self._now = self.time.next_arrival(), arrival
            return []
        self.time.now, self._now = self.time.now + end - self._now, end
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
