"""One simulated engine of a cluster: samples that all write at one pace, which falls as their caches grow."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["H20", "Hardware", "Moved", "Replica"]


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
    seconds_per_moved_token: float = 0.0
    """Moving keys and values of one token of one sample to another engine."""


H20 = Hardware(
    engines=256,
    seconds_per_pass=15.3e9 / 4.0e12,
    seconds_per_cached_token=147_456 / 4.0e12,
    seconds_per_moved_token=147_456 / 5.0e9,
)
"""The report's 256 GPUs (4.0 TB/s) with MiMo-7B in bfloat16: 15.3 GB of weights, caches of 36 layers, 8 heads, 128.

A cache moves at 5 GB/s, a tenth of such a node's network for each GPU, as it goes through the memory of both hosts."""


@dataclass(frozen=True)
class Moved:
    """A sample on its way to another engine."""

    ticket: int
    sample: int
    length: int
    written: float
    """Tokens it has."""


class Replica:
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
        """Begin a group."""
        for sample, length in enumerate(lengths):
            heapq.heappush(self.running, (self._written + length, ticket, sample, length))
        self.reserved += len(lengths)

    def give(self, count: int) -> list[Moved]:
        """So many samples for another engine, those with the least to move."""
        ordered = sorted(self.running, key=lambda one: one[3] - one[0])
        moved = [Moved(ticket, sample, n, n - (end - self._written)) for end, ticket, sample, n in ordered[:count]]
        self.running = ordered[count:]
        heapq.heapify(self.running)
        self._cached -= sum(one.written for one in moved)
        self.reserved -= len(moved)
        return moved

    def adopt(self, moved: Moved) -> None:
        """Go on with a sample of another engine, for which there is room kept."""
        heapq.heappush(
            self.running, (self._written + moved.length - moved.written, moved.ticket, moved.sample, moved.length)
        )
        self._cached += moved.written

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
