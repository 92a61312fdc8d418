"""Several Math-Verify workers for many threads and for batches, with the answers to recent questions kept."""

from __future__ import annotations

import atexit
import os
import queue
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from mimovl.verify.math_process import ANSWER_SECONDS, Comparison, MathProcess, Rule

__all__ = ["MathPool", "shared_pool"]

MAX_KEPT = 20_000
"""Rollouts of one prompt repeat the same few answers; so many recent comparisons are remembered."""


class MathPool:
    """Workers that compare LaTeX expressions; a worker is started when all others are busy.

    Args:
        workers: most workers; the number of CPUs, four at most, if None.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or max(1, min(4, os.cpu_count() or 1))
        self._reset()

    def _reset(self) -> None:
        self._owner = os.getpid()
        self._processes = [MathProcess() for _ in range(self.workers)]
        self._free: queue.LifoQueue[MathProcess] = queue.LifoQueue()  # a lone caller keeps to one worker
        for process in self._processes:
            self._free.put(process)
        self._kept: OrderedDict[tuple[str, str, str], Comparison] = OrderedDict()
        self._lock = threading.Lock()

    def compare(
        self, gold: str, answer: str, *, timeout: float = ANSWER_SECONDS, rule: Rule = "pair", keep: bool = True
    ) -> Comparison:
        """Compare two expressions in the next free worker; see ``MathProcess.compare``."""
        if self._owner != os.getpid():
            self._reset()  # a forked child has no workers of its own yet
        question = (gold, answer, rule)
        if keep:
            with self._lock:
                known = self._kept.get(question)
                if known is not None:
                    self._kept.move_to_end(question)
                    return known
        process = self._free.get()
        try:
            comparison = process.compare(gold, answer, timeout=timeout, rule=rule)
        finally:
            self._free.put(process)
        if keep and comparison in ("equal", "different", "unread"):
            with self._lock:
                self._kept[question] = comparison
                while len(self._kept) > MAX_KEPT:
                    self._kept.popitem(last=False)
        return comparison

    def compare_many(
        self, pairs: Sequence[tuple[str, str]], *, rule: Rule = "pair", keep: bool = True
    ) -> list[Comparison]:
        """Compare (gold, answer) pairs in all workers at once, in order."""

        def one(pair: tuple[str, str]) -> Comparison:
            return self.compare(*pair, rule=rule, keep=keep)

        if len(pairs) < 2 or self.workers < 2:
            return [one(pair) for pair in pairs]
        with ThreadPoolExecutor(self.workers) as threads:
            return list(threads.map(one, pairs))

    def forget(self) -> None:
        """Drop the comparisons that are kept."""
        with self._lock:
            self._kept.clear()

    def start(self) -> None:
        """Start all workers now, at once."""
        if self._owner != os.getpid():
            self._reset()
        with ThreadPoolExecutor(self.workers) as threads:
            list(threads.map(MathProcess.start, self._processes))

    def close(self) -> None:
        """End all workers; the next question starts them again."""
        if self._owner == os.getpid():
            for process in self._processes:
                process.close()


_shared: MathPool | None = None
_shared_lock = threading.Lock()


def shared_pool() -> MathPool:
    """The pool of this process, ended at its exit."""
    global _shared
    with _shared_lock:
        if _shared is None:
            _shared = MathPool()
            atexit.register(_shared.close)
        return _shared
