"""One ``Generate`` over a team: each process answers its share of the requests with its own copy of the model."""

from __future__ import annotations

from collections.abc import Sequence

from mimovl.generate.engine import Engine
from mimovl.team import Team
from mimovl.types import Completion, Request

__all__ = ["TeamEngine"]


class TeamEngine:
    """The leader asks, all answer.

    Args:
        engine: this process's engine; all hold the same parameters.
        team: the processes.

    The leader calls :meth:`generate` as often as it likes and then :meth:`close`; the others call :meth:`serve`.
    """

    def __init__(self, engine: Engine, team: Team) -> None:
        self.engine = engine
        self.team = team

    def generate(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """One list of completions for each request, in order; the leader only."""
        shared = self.team.broadcast(list(requests))
        return self.team.merge(self.engine.generate(self.team.share(shared)))

    def serve(self) -> None:
        """Answer shares until the leader closes; the others only."""
        while (shared := self.team.broadcast(None)) is not None:
            self.team.merge(self.engine.generate(self.team.share(shared)))

    def close(self) -> None:
        """Let the others go; the leader only."""
        self.team.broadcast(None)
