"""Math-Verify behind a pipe: one worker, started at the first question, ended when a question takes too long.

The worker ends itself by its own CPU seconds (see ``math_worker``); the clock here is only for one that is starved or
stuck. It does not outlive a fork of this process, nor this process.
"""

from __future__ import annotations

import importlib.util
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Literal

__all__ = ["ANSWER_SECONDS", "Comparison", "MathProcess", "Rule", "math_verify_installed"]

START_SECONDS = 60.0
ANSWER_SECONDS = 10.0
"""By the clock; a busy machine must not turn a right answer into one that is not graded."""
CPU_SECONDS = 1.5
"""Of the worker's own time for one question: the slowest fair one was measured at 0.5."""

Rule = Literal["pair", "alone", "suite"]
Comparison = Literal["equal", "different", "unread", "timeout", "crashed"]


class _TimeoutReached(Exception):
    """The worker did not answer in time."""


class _WorkerLost(Exception):
    """The worker ended or wrote something that is not a reply."""


class MathProcess:
    """A worker process that compares two LaTeX expressions; safe to call from several threads."""

    def __init__(self, command: list[str] | None = None) -> None:
        # -P keeps the worker's own folder off sys.path, where math.py would hide the standard library's.
        self._command = command or [sys.executable, "-P", str(Path(__file__).with_name("math_worker.py"))]
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._buffer = b""
        self._lock = threading.Lock()

    def compare(self, gold: str, answer: str, *, timeout: float = ANSWER_SECONDS, rule: Rule = "pair") -> Comparison:
        """Ask whether two LaTeX expressions are equal; never raises, never takes longer than start plus timeout.

        ``rule`` says what the answer is: one expression ("pair"), or a whole completion that Math-Verify reads by its
        own defaults ("alone") or with the settings of MiMo-VL's suite ("suite").
        """
        question = {"gold": gold, "answer": answer, "seconds": CPU_SECONDS, "rule": rule}
        with self._lock:
            try:
                self._ensure_started()
                reply = self._ask(question, timeout)
            except _TimeoutReached:
                self._end()
                return "timeout"
            except (_WorkerLost, OSError):
                self._end()
                return "crashed"
        if "lost" in reply:
            return "timeout" if reply["lost"] == "timeout" else "crashed"
        if not reply.get("read"):
            return "unread"
        return "equal" if reply.get("equal") else "different"

    def start(self) -> None:
        """Start the worker now rather than at the first question; what fails shows at the question."""
        with self._lock:
            try:
                self._ensure_started()
            except (_TimeoutReached, _WorkerLost, OSError):
                self._end()

    def close(self) -> None:
        """End the worker; the next question starts another."""
        with self._lock:
            self._end()

    def _ensure_started(self) -> None:
        if self._process is not None and self._owner != os.getpid():
            self._process, self._buffer = None, b""  # a forked child must not share its parent's pipe
        if self._process is not None and self._process.poll() is None:
            return
        self._end()
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # so that the worker and its child end together
            env={name: os.environ[name] for name in ("PATH", "PYTHONPATH", "SYSTEMROOT", "LANG") if name in os.environ},
        )
        self._owner = os.getpid()
        if not self._read_line(START_SECONDS).get("ready"):
            raise _WorkerLost

    def _ask(self, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        return self._read_line(timeout)

    def _read_line(self, timeout: float) -> dict[str, Any]:
        assert self._process is not None and self._process.stdout is not None
        descriptor, deadline = self._process.stdout.fileno(), time.monotonic() + timeout
        while b"\n" not in self._buffer:
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not select.select([descriptor], [], [], remaining)[0]:
                raise _TimeoutReached
            chunk = os.read(descriptor, 65536)
            if not chunk:
                raise _WorkerLost
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            reply = json.loads(line)
        except ValueError as error:
            raise _WorkerLost from error
        if not isinstance(reply, dict):
            raise _WorkerLost
        return reply

    def _end(self) -> None:
        process, self._process, self._buffer = self._process, None, b""
        if process is None or self._owner != os.getpid():
            return
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:  # unsent bytes for a worker that is gone
                    continue


def math_verify_installed() -> bool:
    """Whether the optional ``math`` extra is there; looks without importing it."""
    return importlib.util.find_spec("math_verify") is not None
