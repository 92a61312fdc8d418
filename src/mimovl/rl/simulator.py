"""A simulated engine and simulated rewards under one clock, for the collector of ``seamless.py``: the code that trains.

A world knows what no scheduler may know before its time: how long each answer is, whether it is right, and how long its
reward takes, all functions of the prompt's seed. Every running sample writes a token each ``seconds_per_token``,
whatever runs beside it; so slots that stand empty cost as much as slots that work, as on a GPU that is bound by memory.
Nothing is computed meanwhile: the clock jumps from one event to the next.
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
    """Mean length as a share of the longest: with as many slots as samples, all but this share of a round is idle."""
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
    """An engine that takes time and no work; groups start in order, each as soon as all its samples have room.

    Args:
        world: lengths.
        time: of the simulation.
        slots: samples at once.
        seconds_per_token: of every running sample.
    """

    def __init__(self, world: World, time: SimulatedTime, *, slots: int, seconds_per_token: float = 1.0) -> None:
        self.world = world
        self.time = time
        self.slots = slots
        self.seconds_per_token = seconds_per_token
        self.asked: list[int] = []
        """Seeds of the requests taken."""
        self._written = 0.0
        self._tickets = 0
        self._waiting: deque[tuple[int, Request]] = deque()
        self._running: list[tuple[float, int, int, int]] = []
        """End (in tokens each running sample has written by then), ticket, sample, length; a heap."""
        self._cancelled: set[int] = set()
        self._busy = 0

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
        while self._waiting and self._busy + self._waiting[0][1].num_samples <= self.slots:
            ticket, request = self._waiting.popleft()
            self._busy += request.num_samples
            for sample, length in enumerate(self.world.lengths(request).tolist()):
                heapq.heappush(self._running, (self._written + length, ticket, sample, length))
        if not self._running:
            return []
        arrival = (self.time.next_arrival() - self.time.now) / self.seconds_per_token
        passed = min(self._running[0][0] - self._written, arrival)
        self._written += passed
        self.time.now += passed * self.seconds_per_token
        done = []
        while self._running and self._running[0][0] <= self._written + 1e-9:
            _, ticket, sample, length = heapq.heappop(self._running)
            done.append(Finished(ticket, sample, self._completion(length)))
            self._busy -= 1
        return done

    def _completion(self, length: int, *, cancelled: bool = False) -> Completion:
        reason: Any = "cancelled" if cancelled else "length" if length >= self.world.longest else "stop"
        tokens: Any = _Tokens(length)
        return Completion("", reason, tokens)

    def _drop(self) -> list[Finished]:
        """What was cancelled, with the tokens it had written."""
        gone = [one for one in self._running if one[1] in self._cancelled]
        self._running = [one for one in self._running if one[1] not in self._cancelled]
        heapq.heapify(self._running)
        self._waiting = deque(one for one in self._waiting if one[0] not in self._cancelled)
        self._cancelled = set()
        self._busy -= len(gone)
        return [
            Finished(ticket, sample, self._completion(max(0, int(length - (end - self._written))), cancelled=True))
            for end, ticket, sample, length in gone
        ]


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
