"""What collecting a step's rollouts has cost: how long engines had nothing to do, and how many slots stood empty."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Usage"]


class Usage:
    """Seconds, slot-seconds and tokens of one process, from the moment it is made.

    Args:
        slots: samples the engine can run at once.
        clock: seconds.
    """

    def __init__(self, slots: int, clock: Callable[[], float]) -> None:
        self.slots = slots
        self.clock = clock
        self.tokens = 0
        self._began = clock()
        self._working = 0.0
        self._filled = 0.0

    def worked(self, since: float, running: int) -> None:
        """So many samples were running from then until now."""
        seconds = self.clock() - since
        self._working += seconds
        self._filled += seconds * min(running, self.slots) / self.slots

    def figures(self) -> tuple[float, float, float, int]:
        """Seconds with a sample, seconds by the share of slots with a sample, all seconds, tokens sampled."""
        return self._working, self._filled, self.clock() - self._began, self.tokens
