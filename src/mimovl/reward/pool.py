"""Grading in processes that may die: a poison item ends its worker, not the service, and not its neighbours.

Items wait in one queue, in chunks. A worker takes a chunk and answers item by item, so when it ends the pool knows
which item it was at: those before are answered, those after go to the next worker, and the item itself is tried again
alone, because a worker can be killed for what is not the item's fault. After ``attempts`` ends, or when it used up its
time, it is NOT_GRADED with the reason.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mimovl.errors import MimovlError
from mimovl.reward.nursery import Nursery, Worker, processor_time
from mimovl.reward.supervisor import CPU_TIME
from mimovl.reward.worker import read_result
from mimovl.types import Outcome, Verdict

__all__ = ["CHUNK", "GradingPool", "Result"]

CHUNK = 32
"""Most items a worker takes at once."""

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0
"""Between two tries to start a worker."""

SHORTEST_EXTENSION = 0.05
"""Seconds: a worker that stood in line for less has had its time."""

CLOCK = "clock"

Result = tuple[str, Any]
"""("verdict", Verdict), ("open", [given, gold, reason]) or ("refused", [message]); see ``worker``."""


@dataclass(eq=False)
class _Batch:
    """The items of one call and what is known of them."""

    lines: Sequence[bytes]
    done: asyncio.Future[None]
    results: list[Result | None]
    left: int
    attempts: dict[int, int] = field(default_factory=dict)

    def settle(self, place: int, result: Result) -> None:
        """Note an item's result."""
        assert self.results[place] is None
        self.results[place] = result
        self.left -= 1
        if self.left == 0 and not self.done.done():
            self.done.set_result(None)


@dataclass
class _Chunk:
    batch: _Batch
    places: Sequence[int]


class GradingPool:
    """Workers that grade lines of ``worker.wire``.

    Args:
        nursery: makes the workers.
        workers: how many.
        item_seconds: by the clock, for one item.
        attempts: workers that an item may end before it is given up.
        on_end: told why a worker ended.
    """

    def __init__(
        self,
        nursery: Nursery,
        *,
        workers: int,
        item_seconds: float,
        attempts: int,
        on_end: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self.nursery = nursery
        self.size = workers
        self.item_seconds = item_seconds
        self.attempts = attempts
        self.on_end = on_end
        self.alive = 0
        self._queue: deque[_Chunk] = deque()
        self._waiters: list[asyncio.Future[None]] = []
        self._slots: list[asyncio.Task[None]] = []
        self._batches: set[_Batch] = set()

    async def start(self) -> None:
        """Start the supervisor and the workers.

        Raises:
            UsageError: a reward function cannot be loaded.
        """
        await self.nursery.start()
        self._slots = [asyncio.create_task(self._slot()) for _ in range(self.size)]

    async def close(self) -> None:
        """End all workers; items not graded by then are NOT_GRADED."""
        for slot in self._slots:
            slot.cancel()
        await asyncio.gather(*self._slots, return_exceptions=True)
        self._slots = []
        await self.nursery.close()
        self._queue.clear()
        for batch in self._batches:
            for place, result in enumerate(batch.results):
                if result is None:
                    batch.settle(place, _not_graded("the service ended"))

    async def grade(self, lines: Sequence[bytes]) -> list[Result]:
        """A result for each line, in order."""
        if not lines:
            return []
        batch = _Batch(lines, asyncio.get_running_loop().create_future(), [None] * len(lines), len(lines))
        size = min(CHUNK, -(-len(lines) // self.size))
        for start in range(0, len(lines), size):
            self._queue.append(_Chunk(batch, range(start, min(start + size, len(lines)))))
        self._batches.add(batch)
        self._wake()
        try:
            await asyncio.shield(batch.done)
        finally:
            self._batches.discard(batch)
        return [result for result in batch.results if result is not None]

    async def _slot(self) -> None:
        """One worker after another, each until it ends."""
        pause = FIRST_PAUSE
        while True:
            try:
                worker = await self.nursery.fork()
            except (MimovlError, OSError):
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)
                continue
            pause = FIRST_PAUSE
            self.alive += 1
            try:
                reason = await self._feed(worker)
            finally:
                self.alive -= 1
                worker.close()
            self.on_end(reason)

    async def _feed(self, worker: Worker) -> str:
        """Hand a worker chunk after chunk; return why it ended."""
        while (chunk := await self._take(worker)) is not None:
            for number, place in enumerate(chunk.places):
                if number == 0:
                    worker.send(b"".join(chunk.batch.lines[place] for place in chunk.places))
                try:
                    reply = worker.received() or await self._reply(worker)
                except TimeoutError:
                    self.nursery.kill(worker)
                    self._after(chunk, number, CLOCK)
                    return CLOCK
                if reply is None:
                    reason = await self.nursery.ended(worker)
                    self._after(chunk, number, reason)
                    return reason
                chunk.batch.settle(place, _result(reply))
        return await self.nursery.ended(worker)

    async def _reply(self, worker: Worker) -> bytes | None:
        """The next reply; None when the worker has ended.

        Time in which the worker could run but was given no processor is not the item's: beside a training it may wait
        for seconds before it runs a millisecond.

        Raises:
            TimeoutError: the item had its ``item_seconds``.
        """
        before, left = processor_time(worker.pid), self.item_seconds
        while True:
            try:
                async with asyncio.timeout(left):
                    return await worker.receive()
            except TimeoutError:
                if reply := worker.received():  # it came while this process had no processor to look
                    return reply
                now = processor_time(worker.pid)
                in_line = now.queued - before.queued
                if now.runnable and now.ran - before.ran + in_line < SHORTEST_EXTENSION:
                    in_line = left  # it stands there since before; the kernel counts a wait when it ends
                before, left = now, min(in_line, left)
                if left < SHORTEST_EXTENSION:
                    raise

    async def _take(self, worker: Worker) -> _Chunk | None:
        """The next chunk; None if the worker ends before there is one."""
        while not self._queue:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await asyncio.wait({waiter, worker.closed}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
            if worker.closed.done():
                self._wake()  # whoever else waits: this one may have been woken for a chunk
                return None
        return None if worker.closed.done() else self._queue.popleft()

    def _wake(self) -> None:
        """Wake as many waiting slots as there are chunks."""
        for waiter in self._waiters[: len(self._queue)]:
            if not waiter.done():
                waiter.set_result(None)

    def _after(self, chunk: _Chunk, number: int, reason: str) -> None:
        """A worker ended at an item: give it up or try it again alone, and put back those after it."""
        batch, place, rest = chunk.batch, chunk.places[number], chunk.places[number + 1 :]
        if rest:
            self._queue.appendleft(_Chunk(batch, rest))
        batch.attempts[place] = tried = batch.attempts.get(place, 0) + 1
        if reason in (CLOCK, CPU_TIME):
            seconds = f"{self.item_seconds:g} s" if reason == CLOCK else "its processor time"
            batch.settle(place, _not_graded(f"took longer than {seconds}; its worker was ended"))
        elif tried >= self.attempts:
            batch.settle(place, _not_graded(f"ended {tried} workers ({reason})"))
        else:
            self._queue.appendleft(_Chunk(batch, [place]))
        self._wake()


def _result(reply: bytes) -> Result:
    kind, rest = read_result(json.loads(reply))
    return ("verdict", _not_graded(rest[0])[1]) if kind == "failed" else (kind, rest)


def _not_graded(reason: str) -> Result:
    return "verdict", Verdict(0.0, Outcome.NOT_GRADED, rule=reason)
