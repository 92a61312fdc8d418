"""The process that forks workers: it imports everything once, so that replacing a worker takes milliseconds.

    service ── control ──▶ supervisor ── fork ──▶ worker ◀── its own connection ── service

Started as ``python -m mimovl.reward.supervisor FD`` with a socket. It reads one line, the ``WorkerSpec``, and says
``{"ready": true}``; then byte ``F`` with a socket attached forks a worker on it (``{"forked": pid}``), byte ``K`` with
a pid kills one, and the end of a worker is told (``{"ended": pid, "status": …}``). When the service goes away, however
that happens, the supervisor ends its workers and itself. It never reads what workers read: no text can reach it.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import struct
import sys
import traceback
from dataclasses import asdict, dataclass, field

from mimovl.errors import MimovlError
from mimovl.reward.router import RewardRouter
from mimovl.reward.service_config import ServiceConfig
from mimovl.reward.worker import OUT_OF_MEMORY, WorkerLimits, work

__all__ = ["CPU_TIME", "FORK", "KILL", "PID", "WorkerSpec", "main", "why_ended"]

CPU_TIME = "cpu time"
"""Why a worker ended whose item took too much of it."""

FORK, KILL = b"F", b"K"
PID = struct.Struct("!I")


@dataclass(frozen=True)
class WorkerSpec:
    """What workers need to know."""

    functions: dict[str, str] = field(default_factory=dict)
    cpu_seconds: float = 2.0
    memory_mb: int = 2048

    def line(self) -> bytes:
        """As a line of JSON."""
        return json.dumps(asdict(self)).encode() + b"\n"


def why_ended(status: int) -> str:
    """The status of ``os.waitpid`` in words."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGPROF:
            return CPU_TIME
        with contextlib.suppress(ValueError):
            return signal.Signals(number).name
        return f"signal {number}"
    code = os.WEXITSTATUS(status)
    return "out of memory" if code == OUT_OF_MEMORY else f"exit status {code}"


def main(descriptor: int) -> int:
    """Serve the control socket until it ends."""
    control = socket.socket(fileno=descriptor)
    os.dup2(2, 1)  # whatever a reward function prints is for the log
    spec = WorkerSpec(**json.loads(_read_line(control)))
    try:
        functions = ServiceConfig(functions=spec.functions).load_functions()
    except MimovlError as error:
        control.sendall(json.dumps({"failed": str(error)}).encode() + b"\n")
        return 2
    router = RewardRouter(functions)
    limits = WorkerLimits(spec.cpu_seconds, spec.memory_mb)
    gc.collect()
    gc.freeze()  # workers share these pages: a collection must not touch and copy them
    wake_read, wake_write = os.pipe()
    for end in (wake_read, wake_write):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    control.sendall(b'{"ready": true}\n')
    workers: set[int] = set()
    try:
        while True:
            readable, _, _ = select.select([control.fileno(), wake_read], [], [])
            if wake_read in readable:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake_read, 4096)
                _tell_ended(control, workers)
            if control.fileno() in readable and not _obey(control, workers, router, limits, (wake_read, wake_write)):
                return 0
    except OSError:  # the service is gone in the middle of a word
        return 0
    finally:
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _obey(
    control: socket.socket,
    workers: set[int],
    router: RewardRouter,
    limits: WorkerLimits,
    wake: tuple[int, int],
) -> bool:
    """Do what the next byte asks; False when the service is gone."""
    byte, descriptors, _, _ = socket.recv_fds(control, 1, 1)
    if not byte:
        return False
    if byte == KILL:
        pid = PID.unpack(_read_exactly(control, PID.size))[0]
        if pid in workers:  # still ours: the number cannot have gone to another process
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return True
    assert byte == FORK and descriptors
    supervisor = os.getpid()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            _become_worker(supervisor, control, wake)
            status = work(socket.socket(fileno=descriptors[0]), router, limits)
        except SystemExit as ended:  # a reward function's wish
            status = ended.code if isinstance(ended.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(descriptors[0])
    workers.add(pid)
    control.sendall(json.dumps({"forked": pid}).encode() + b"\n")
    return True


def _become_worker(supervisor: int, control: socket.socket, wake: tuple[int, int]) -> None:
    """Let go of the supervisor's own things, and end if it ends."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGPROF):
        signal.signal(number, signal.SIG_DFL)
    with contextlib.suppress(OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != supervisor:
        os._exit(1)
    control.close()
    for end in wake:
        os.close(end)


def _tell_ended(control: socket.socket, workers: set[int]) -> None:
    while workers:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        workers.discard(pid)
        control.sendall(json.dumps({"ended": pid, "status": status}).encode() + b"\n")


def _read_line(control: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        byte = control.recv(1)  # not one byte more: descriptors may come with the next
        if not byte:
            raise SystemExit(1)
        line += byte
    return line


def _read_exactly(control: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = control.recv(size - len(data))
        if not more:
            raise SystemExit(0)
        data += more
    return data


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
