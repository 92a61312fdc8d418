"""Processes that do numbered jobs ahead of whoever needs their results.

    with WorkerPool(work, 4) as pool:
        numbers = [pool.submit("build", job) for job in jobs]
        for number in numbers:
            pool.result(number)

A worker is a fresh process (spawned, one thread) with a pipe of its own: no lock is shared, so a worker that is killed
takes nothing with it. Results come in the order they are asked for, whoever made them. An error of ours arrives as
itself; a worker's death is one error that names the sample it was on.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Protocol

from mimovl.data.shared_memory import receive, send
from mimovl.errors import MimovlError
from mimovl.heap import keep_some_freed_memory

__all__ = ["InProcess", "Note", "Runner", "Work", "WorkerPool"]

Note = Callable[[str], None]
"""Says what a worker is on, so that its death can be told."""
Work = Callable[[str, Any, Note], Any]
"""Does a job: its kind, what it is about, and where to note what it is on. Sent to every worker once, by pickle."""


class Runner(Protocol):
    """Does jobs, here or elsewhere."""

    def submit(self, kind: str, about: Any) -> int:
        """Hand out a job; returns its number."""
        ...

    def result(self, number: int) -> Any:
        """What a job came to."""
        ...


_NOTE_BYTES = 400
_PATIENCE = 2.0
"""Seconds a worker is given to leave by itself."""


@dataclass
class _Worker:
    """One process as the pool sees it."""

    number: int
    process: BaseProcess
    connection: Connection
    note: Any
    jobs: set[int] = field(default_factory=set)
    """Submitted to it and not yet answered."""


class InProcess:
    """The same for no workers: a job is done when its result is asked for."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._jobs: dict[int, tuple[str, Any]] = {}
        self._next = 0

    def submit(self, kind: str, about: Any) -> int:
        """Keep a job; returns its number."""
        number, self._next = self._next, self._next + 1
        self._jobs[number] = kind, about
        return number

    def result(self, number: int) -> Any:
        """Do it."""
        return self._work(*self._jobs.pop(number), _unsaid)


def _unsaid(text: str) -> None:
    """Note nothing."""


class WorkerPool:
    """Workers and the jobs they are on. Use it from one thread.

    Args:
        work: what does a job; must be picklable.
        size: processes.
        stop: when set, by another thread, whoever waits for a result is let go with ``InterruptedError``.

    Raises:
        MimovlError: from ``result``: a worker died, or whatever a job raised.
    """

    def __init__(self, work: Work, size: int, stop: threading.Event | None = None) -> None:
        assert size >= 1, "work of no processes is done by the caller"
        self._stop = stop or threading.Event()
        self._next = 0
        self._done: dict[int, Any] = {}
        context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        for number in range(size):
            ours, theirs = context.Pipe(duplex=True)
            note = context.RawArray("c", _NOTE_BYTES)
            process = context.Process(
                target=_live, args=(theirs, note, work, os.getpid()), name=f"data-worker-{number}", daemon=True
            )
            self._workers.append(_Worker(number, process, ours, note))
            try:
                process.start()
            except BaseException:
                self._workers.pop()
                self.close()
                raise
            finally:
                theirs.close()

    def submit(self, kind: str, about: Any) -> int:
        """Hand out a job to the worker with the fewest; returns its number."""
        worker = min(self._workers, key=lambda one: (len(one.jobs), one.number))
        number, self._next = self._next, self._next + 1
        worker.jobs.add(number)
        try:
            worker.connection.send((number, kind, about))
        except (BrokenPipeError, ConnectionResetError):
            raise self._dead(worker) from None
        return number

    def result(self, number: int) -> Any:
        """What a job came to; waits for it. Each result can be taken once."""
        while number not in self._done:
            self._collect()
        failed, value = self._done.pop(number)
        if failed:
            raise value
        return value

    def _collect(self) -> None:
        """Take in what at least one worker has to say."""
        connections = [worker.connection for worker in self._workers]
        while not (ready := wait(connections, timeout=0.1)):
            if self._stop.is_set():
                raise InterruptedError("nobody waits for this result any more")
        for worker in self._workers:
            if worker.connection not in ready:
                continue
            try:
                number, failed, value = receive(worker.connection)
            except (EOFError, ConnectionResetError, OSError):
                raise self._dead(worker) from None
            worker.jobs.discard(number)
            self._done[number] = failed, value

    def _dead(self, worker: _Worker) -> MimovlError:
        worker.process.join(timeout=10 * _PATIENCE)  # its pipe is closed: it is gone, or about to be
        code = worker.process.exitcode
        how = f"exit code {code}"
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                how = f"signal {signal.Signals(-code).name}"
        place = worker.note.value.decode(errors="ignore")
        return MimovlError(
            f"data worker {worker.number} died ({how}) "
            + (f"while on {place}" if place else "before its first sample")
            + "; if it was killed for memory, use fewer workers or smaller packs, "
            + "if it dies there again, leave that sample out"
        )

    def close(self) -> None:
        """End the workers, whatever they are on."""
        for worker in self._workers:
            worker.connection.close()
        for worker in self._workers:
            worker.process.join(timeout=_PATIENCE if not worker.jobs else 0)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.process.close()
        self._workers = []

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _live(connection: Connection, note: Any, work: Work, parent: int) -> None:
    """The life of a worker: one job after another until the pool is gone."""
    import torch

    for number in (signal.SIGINT, signal.SIGTERM):  # sent to the whole group, they are the trainer's to handle:
        signal.signal(number, signal.SIG_IGN)  # it saves, and a worker leaves when its pipe is closed
    torch.set_num_threads(1)
    keep_some_freed_memory()

    def say(text: str) -> None:
        note.value = text.encode()[: _NOTE_BYTES - 1]

    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            number, kind, about = connection.recv()
            try:
                answer = number, False, work(kind, about, say)
            except MimovlError as error:
                answer = number, True, error
            except Exception:
                answer = number, True, RuntimeError(f"a data worker failed:\n{traceback.format_exc()}")
            send(connection, answer, parent)
    os._exit(0)  # nothing is open that closing would save
