"""What collecting a step's rollouts has cost: how many slots stood empty, how much of what was sampled was surplus."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Usage"]


class Usage:
    """Slot-seconds and tokens of one process, from the moment it is made.

    Args:
        slots: samples the engine can run at once.
        clock: seconds.
    """

    def __init__(self, slots: int, clock: Callable[[], float]) -> None:
        self.slots = slots
        self.clock = clock
        self.tokens = 0
        self._began = clock()
        self._busy = 0.0

    def worked(self, since: float, running: int) -> None:
        """So many samples were running from then until now."""
        self._busy += (self.clock() - since) * min(running, self.slots)

    def figures(self) -> tuple[float, float, int]:
        """Slot-seconds with a sample in them, all slot-seconds, tokens sampled."""
        return self._busy, (self.clock() - self._began) * self.slots, self.tokens
