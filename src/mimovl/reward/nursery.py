"""The service's side of the supervisor, which it starts, and replaces should it die.

    nursery = Nursery(WorkerSpec(functions)); await nursery.start()
    worker = await nursery.fork()          a connection to a new worker process
    reason = await nursery.ended(worker)   why it ended

A worker's connection ends with the worker, however that ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections import OrderedDict, deque
from typing import NamedTuple, cast

from mimovl.errors import MimovlError, UsageError
from mimovl.reward.service_config import TOKEN_VARIABLE
from mimovl.reward.supervisor import FORK, KILL, PID, WorkerSpec, why_ended

__all__ = ["Lines", "Nursery", "SupervisorLost", "Worker", "processor_time"]

START_SECONDS = 600.0
END_SECONDS = 5.0
KEPT_ENDS = 1000
SUPERVISOR_ENDED = "the supervisor ended"


class SupervisorLost(MimovlError):
    """The supervisor ended; the next call starts another."""


class Lines(asyncio.Protocol):
    """A connection that speaks in lines."""

    def __init__(self) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self._lines: deque[bytes] = deque()
        self._rest = b""
        self._waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._lines.extend(lines)
        self._wake()

    def connection_lost(self, exception: Exception | None) -> None:
        """Called by the loop."""
        if not self.closed.done():
            self.closed.set_result(None)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def send(self, data: bytes) -> None:
        """Send data; what cannot be sent any more is lost, and the connection closed."""
        assert self._transport is not None
        self._transport.write(data)

    def received(self) -> bytes | None:
        """The next line, if it is here already."""
        return self._lines.popleft() if self._lines else None

    async def receive(self) -> bytes | None:
        """The next line, without its end; None when the connection has ended. One caller at a time."""
        while not self._lines:
            if self.closed.done():
                return None
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._lines.popleft()

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()


class Worker(Lines):
    """The connection to a worker process."""

    pid = 0


class Nursery:
    """Starts workers through a supervisor process, which is started again should it die.

    Args:
        spec: what workers need to know.
    """

    def __init__(self, spec: WorkerSpec) -> None:
        self.spec = spec
        self.process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._listener: asyncio.Task[None] | None = None
        self._forked: asyncio.Queue[int | None] = asyncio.Queue()
        self._ends: OrderedDict[int, asyncio.Future[str]] = OrderedDict()
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Start the supervisor, if it does not run.

        Raises:
            UsageError: a reward function cannot be loaded.
            SupervisorLost: it ended while it started.
        """
        async with self._lock:
            if self._socket is None:
                await self._start()

    async def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "mimovl.reward.supervisor", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                process_group=0,  # signals to the service's group are for the service to deal with
                env=_environment(),
            )
        # Two handles of one socket: the loop reads and writes lines; descriptors are sent past it, one byte each.
        spare = ours.dup()
        _, lines = await asyncio.get_running_loop().connect_accepted_socket(Lines, ours)
        lines.send(self.spec.line())
        try:
            line = await asyncio.wait_for(lines.receive(), START_SECONDS)
        except TimeoutError:
            line = None
        said = json.loads(line) if line else {}
        if "ready" not in said:
            lines.close()
            spare.close()
            await self._reap()
            if "failed" in said:
                raise UsageError(said["failed"])
            raise SupervisorLost("the supervisor of the grading processes ended while it started; its message is above")
        self._socket = spare
        self._forked = asyncio.Queue()
        self._listener = asyncio.create_task(self._listen(lines, spare))

    async def _listen(self, lines: Lines, spare: socket.socket) -> None:
        """Hear what the supervisor says, until it ends."""
        while (line := await lines.receive()) is not None:
            said = json.loads(line)
            if "forked" in said:
                self._ends.pop(said["forked"], None)  # of an older process with this number
                self._forked.put_nowait(said["forked"])
            elif not (end := self._end(said["ended"])).done():
                end.set_result(why_ended(said["status"]))
        spare.close()
        self._socket = None
        self._forked.put_nowait(None)
        for end in self._ends.values():
            if not end.done():
                end.set_result(SUPERVISOR_ENDED)
        await self._reap()

    def _end(self, pid: int) -> asyncio.Future[str]:
        """What will say why a process ended."""
        future = self._ends.setdefault(pid, asyncio.get_running_loop().create_future())
        while len(self._ends) > KEPT_ENDS:
            self._ends.popitem(last=False)
        return future

    async def fork(self) -> Worker:
        """A new worker.

        Raises:
            SupervisorLost: there is no supervisor, and no new one starts.
        """
        async with self._lock:
            if self._socket is None:
                await self._start()
            assert self._socket is not None
            ours, theirs = socket.socketpair()
            with theirs:
                try:
                    socket.send_fds(self._socket, [FORK], [theirs.fileno()])
                    pid = await asyncio.wait_for(self._forked.get(), START_SECONDS)
                except OSError:
                    pid = None
                except TimeoutError:
                    pid = None
                    self._socket.shutdown(socket.SHUT_RDWR)  # a late answer would be taken for the next worker's
            if pid is None:
                ours.close()
                raise SupervisorLost("the supervisor of the grading processes ended")
            _, worker = await asyncio.get_running_loop().connect_accepted_socket(Worker, ours)
            worker.pid = pid
            return worker

    async def ended(self, worker: Worker) -> str:
        """Why a worker ended, once its connection has."""
        if self._socket is None and worker.pid not in self._ends:
            return SUPERVISOR_ENDED
        for seconds in (END_SECONDS, START_SECONDS):
            try:
                return await asyncio.wait_for(asyncio.shield(self._end(worker.pid)), seconds)
            except TimeoutError:
                self.kill(worker)  # it ended its connection and not itself
        return "lost"

    def kill(self, worker: Worker) -> None:
        """End a worker now."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.send(KILL + PID.pack(worker.pid))

    async def close(self) -> None:
        """End the supervisor and with it all workers."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        if self._listener is not None:
            await self._listener
            self._listener = None

    async def _reap(self) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        try:
            await asyncio.to_thread(process.wait, END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)


class ProcessorTime(NamedTuple):
    """Seconds a process ran, and waited to run; and whether it could run now."""

    ran: float = 0.0
    queued: float = 0.0
    runnable: bool = False


def processor_time(pid: int) -> ProcessorTime:
    """What the kernel says of a process; nothing where it says nothing (another system than Linux)."""
    try:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
            ran, queued = (int(word) / 1e9 for word in file.read().split()[:2])
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            state = file.read().rpartition(")")[2].split()[0]
    except (OSError, IndexError, ValueError):
        return ProcessorTime()
    return ProcessorTime(ran, queued, state == "R")


def _environment() -> dict[str, str]:
    """This process's, with its import path and without the service's token; single-threaded libraries."""
    kept = {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return {**kept, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
