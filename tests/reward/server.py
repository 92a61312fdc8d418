"""``mimovl reward serve`` as a process of its own, the way a user starts it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.reward.running import PATIENCE

ROOT = Path(__file__).parent.parent.parent


class Server:
    """A running ``mimovl reward serve``; killed at the end if it still runs."""

    def __init__(self, folder: Path, *arguments: str, port: int = 0, **environment: str) -> None:
        self.log = folder / "serve.log"
        command = [sys.executable, "-m", "mimovl.cli", "reward", "serve", "--port", str(port), *arguments]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", **environment},
            )
        self.url = ""

    def __enter__(self) -> Server:
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(r"http://\S+", self.output())):
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.02)
        self.url = found[0]
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def output(self) -> str:
        """All that it printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def stop(self) -> int:
        """SIGTERM; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def family(self) -> set[int]:
        """Process ids of all that descends from it."""
        found: set[int] = set()
        waiting = [self.process.pid]
        while waiting:
            try:
                text = Path(f"/proc/{waiting[-1]}/task/{waiting.pop()}/children").read_text()
            except OSError:
                continue
            children = {int(pid) for pid in text.split()}
            waiting.extend(children - found)
            found |= children
        return found

    def workers(self) -> list[int]:
        """Process ids of the grading processes: those that the supervisor forked."""
        found = []
        for pid in self.family():
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
                parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if b"mimovl.reward.supervisor" in command and parent != self.process.pid:
                found.append(pid)
        return found


def alive(pid: int) -> bool:
    """Whether a process still runs; one that only waits to be waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
