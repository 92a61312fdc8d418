"""What a person sees while a recipe runs: one bar a step on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mimovl import train

__all__ = ["Display", "PartOf", "StepProgress"]

QUIET_SECONDS = 15.0
"""Seconds between lines where the output is not a terminal."""


class StepProgress:
    """Shows one step; satisfies ``mimovl.train.Progress``."""

    def __init__(self, display: Display, title: str) -> None:
        self.title = title
        self._display = display
        self._started = self._printed = time.monotonic()
        self._first: float | None = None
        self._task = display.bars.add_task(title, total=None, figures="") if display.bars else None

    def update(self, done: float, total: float, text: str) -> None:
        """``done`` of ``total`` units, with the figures of the moment."""
        if self._first is None:
            self._first = done  # a resumed step did not do these just now
        if self._display.bars and self._task is not None:
            self._display.bars.update(self._task, completed=done, total=total, figures=text)
        elif time.monotonic() - self._printed > QUIET_SECONDS or done == total:
            self._printed = time.monotonic()
            elapsed = self._printed - self._started
            new = done - self._first
            left = f"{_clock(elapsed * (total - done) / new)} left" if new > 0 and done < total else ""
            self._display.line(f"{self.title:<22} {100 * done / max(total, 1):3.0f} %  {text}  {left}".rstrip())

    def stop(self) -> None:
        """Take the bar away."""
        if self._display.bars and self._task is not None:
            self._display.bars.remove_task(self._task)


class PartOf:
    """A share of one bar: ``size`` of ``whole`` units, from ``first`` on."""

    def __init__(self, progress: train.Progress, first: float, size: float, whole: float) -> None:
        self._progress, self._first, self._size, self._whole = progress, first, size, whole

    def update(self, done: float, total: float, text: str) -> None:
        """``done`` of ``total`` units of this share."""
        self._progress.update((self._first + self._size * done / total) / self._whole, 1, text)


class Display:
    """Standard error, as bars or as lines."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, emoji=False)
        self.bars: Progress | None = None

    @contextmanager
    def show(self) -> Iterator[Display]:
        """Keep the bars on screen while the run goes on."""
        if not sys.stderr.isatty():
            yield self
            return
        columns = (
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, refresh_per_second=4) as bars:
            self.bars = bars
            yield self
        self.bars = None

    @contextmanager
    def step(self, title: str) -> Iterator[StepProgress]:
        """One step's bar, and a line with its time when it is done."""
        progress = StepProgress(self, title)
        started = time.monotonic()
        try:
            yield progress
        finally:
            progress.stop()
        self.line(f"{title:<22} done in {_clock(time.monotonic() - started)}")

    def line(self, text: str) -> None:
        """Print a line above the bars."""
        self.console.print(text, markup=False, soft_wrap=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
