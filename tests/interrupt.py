"""Training that stops half-way, as if somebody pulled the plug."""

from __future__ import annotations


class Interrupt(Exception):
    """Somebody pulled the plug."""


class Plug:
    """Progress that raises after so many steps."""

    def __init__(self, after: int) -> None:
        self.after = after

    def update(self, done: float, total: float, text: str) -> None:
        if done == self.after:
            raise Interrupt
