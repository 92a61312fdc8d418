"""Who does the jobs: this process, spawned processes of this machine, or Ray's (``ray_pool``). Results in any order.

Spawned processes, not forked: no library is left half-initialised, and no memory is shared by accident. They end with
this process, however it ends. A process that dies (out of memory, a decoder that crashes) costs the jobs in hand, which
are tried again in new processes.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, Protocol, TypeVar

from mimovl.errors import MimovlError, plain_warning

__all__ = ["Here", "Pool", "Processes"]

J = TypeVar("J")
R = TypeVar("R")

_AHEAD = 2
"""Jobs handed out beyond one a worker."""
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Pool(Protocol):
    """Does jobs."""

    def run(self, function: Callable[[bytes, J], R], common: bytes, jobs: Iterable[J]) -> Iterator[R]:
        """``function(common, job)`` of every job, in the order they are done."""
        ...

    def close(self) -> None:
        """End the workers."""
        ...


class Here:
    """This process."""

    def run(self, function: Callable[[bytes, J], R], common: bytes, jobs: Iterable[J]) -> Iterator[R]:
        """``function(common, job)`` of every job."""
        for job in jobs:
            yield function(common, job)

    def close(self) -> None:
        """Nothing to end."""


class Processes:
    """Spawned processes.

    Args:
        workers: how many.
        attempts: tries of a job whose process died.
    """

    def __init__(self, workers: int, attempts: int = 3) -> None:
        self.workers, self.attempts = workers, attempts
        self._executor: ProcessPoolExecutor | None = None

    def run(self, function: Callable[[bytes, J], R], common: bytes, jobs: Iterable[J]) -> Iterator[R]:
        """``function(common, job)`` of every job, in the order they are done.

        Raises:
            MimovlError: a job's process died ``attempts`` times; names the jobs.
        """
        waiting = iter(jobs)
        running: dict[Future[R], J] = {}
        lost: list[J] = []
        while True:
            for job in islice(waiting, self.workers + _AHEAD - len(running)):
                try:
                    running[self._started().submit(function, common, job)] = job
                except BrokenProcessPool:
                    lost.append(job)
            if not running and not lost:
                return
            done = wait(running, return_when=FIRST_COMPLETED).done if running else set()
            for future in done:
                job = running.pop(future)
                try:
                    result = future.result()
                except BrokenProcessPool:
                    lost.append(job)
                else:
                    yield result
            if lost:
                # All in hand fail with the one; each is done alone now, so that the culprit is known.
                lost += running.values()
                running.clear()
                self._stop()
                for job in lost:
                    yield self._alone(function, common, job)
                lost = []

    def _alone(self, function: Callable[[bytes, J], R], common: bytes, job: J) -> R:
        for _ in range(1, self.attempts):
            try:
                return self._started().submit(function, common, job).result()
            except BrokenProcessPool:
                self._stop()
        raise MimovlError(
            f"a worker process died {self.attempts} times with {_name(job)} in hand: memory ran out or a library "
            "crashed on it; give fewer workers or leave that input out"
        )

    def close(self) -> None:
        """End the workers, whatever they do."""
        self._stop()

    def _started(self) -> ProcessPoolExecutor:
        if self._executor is None:
            self._executor = ProcessPoolExecutor(
                self.workers, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(os.getpid(),)
            )
            # All processes start with the first job, and read this on their way.
            before = {name: os.environ.get(name) for name in _ONE_THREAD}
            os.environ.update({name: "1" for name, value in before.items() if value is None})
            try:
                self._executor.submit(os.getpid)
            finally:
                for name, value in before.items():
                    if value is None:
                        del os.environ[name]
        return self._executor

    def _stop(self) -> None:
        if self._executor is not None:
            processes: list[Any] = list((getattr(self._executor, "_processes", None) or {}).values())
            self._executor.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.kill()
            for process in processes:
                process.join()
            self._executor = None


def _begin(leader: int) -> None:
    """End this process if the leader ends, however it does (Linux), and leave Ctrl-C to it."""
    import signal

    warnings.formatwarning = plain_warning
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != leader:
        os._exit(1)  # an exception here would be printed, and nobody is left to read it


def _name(job: Any) -> str:
    task = getattr(job, "task", None)
    units = getattr(task, "units", ())
    if not units:
        return str(job)
    return units[0].name if len(units) == 1 else f"{units[0].name} to {units[-1].name}"
