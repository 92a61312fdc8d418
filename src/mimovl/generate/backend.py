"""What answers rollouts as they come: the embedded engine, vLLM servers, engines placed by Ray, a simulation.

ticket = engine.submit(request)        engine.step() → samples that are done        engine.cancel(ticket)
engine.refresh(model)                  after every update, before the next request
"""

from __future__ import annotations

from typing import Protocol

from mimovl.generate.sequence import Finished
from mimovl.model import VisionLanguageModel
from mimovl.types import Request

__all__ = ["RolloutEngine"]


class RolloutEngine(Protocol):
    """Answers requests in any order, many at once."""

    slots: int
    """Samples that run at once."""

    def submit(self, request: Request) -> int:
        """Take a request; the ticket under which :meth:`step` reports each of its samples, once."""
        ...

    def step(self) -> list[Finished]:
        """Work, or wait a moment for others who do; samples that are done.

        Raises:
            RequestError: one request is given up; nothing more of it is reported, all others go on.
        """
        ...

    def cancel(self, ticket: int) -> None:
        """Stop a request; what is left of it may be reported as cancelled, or not at all."""
        ...

    def refresh(self, model: VisionLanguageModel) -> None:
        """Answer with these parameters from now on; nothing is running."""
        ...
