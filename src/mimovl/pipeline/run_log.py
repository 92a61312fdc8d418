"""run.json: what ran, where, how long; and the time of each step."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from mimovl import __version__
from mimovl.pipeline.progress import Display, StepProgress
from mimovl.recipe import Recipe

__all__ = ["RunLog", "quiet", "timed_step"]


def quiet(done: float, total: float, text: str) -> None:
    """Show nothing."""


@contextmanager
def timed_step(display: Display, log: RunLog, key: str, title: str) -> Iterator[StepProgress]:
    """A step on the display, and its seconds in the log once it is done."""
    started = time.monotonic()
    with display.step(title) as progress:
        yield progress
    log.add_seconds(key, time.monotonic() - started)


class RunLog:
    """run.json: what ran, where, how long. Times add up over resumed runs."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.path = folder / "run.json"
        self.data: dict[str, Any] = {}
        with suppress(OSError, ValueError):  # not there yet, or torn when the machine went down: times begin anew
            found = json.loads(self.path.read_text(encoding="utf-8"))
            self.data = found if isinstance(found, dict) else {}
        self.data.setdefault("started", time.strftime("%Y-%m-%dT%H:%M:%S%z"))
        self.data.setdefault("seconds", {})
        self.update(
            name=recipe.name,
            purpose=recipe.purpose,
            mimovl=__version__,
            torch=str(torch.__version__),
            python=platform.python_version(),
            machine=_machine(),
        )

    def update(self, **values: Any) -> None:
        """Set entries and write the file."""
        self.data.update(values)
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(self.data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        partial.replace(self.path)

    def add_seconds(self, key: str, seconds: float) -> None:
        """Count time towards a step."""
        self.data["seconds"][key] = round(self.data["seconds"].get(key, 0.0) + seconds, 2)
        self.update()

    def finish(self, peak_memory_mb: float) -> None:
        """Everything is done; the memory is that of all processes together."""
        self.data.setdefault("finished", time.strftime("%Y-%m-%dT%H:%M:%S%z"))
        self.update(peak_memory_mb=max(peak_memory_mb, self.data.get("peak_memory_mb", 0.0)))


def _machine() -> dict[str, Any]:
    """Processor, cores and memory, as far as the system tells."""
    cpu, memory = platform.processor() or platform.machine(), 0.0
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                cpu = line.partition(":")[2].strip()
                break
        memory = int(Path("/proc/meminfo").read_text(encoding="utf-8").split()[1]) / 1024**2
    except (OSError, ValueError, IndexError):
        pass
    return {"cpu": cpu, "cores": os.cpu_count() or 1, "memory_gb": round(memory, 1), "system": sys.platform}
