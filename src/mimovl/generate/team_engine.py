"""One ``Generate`` over a team: each process answers its share of the requests with its own copy of the model."""

from __future__ import annotations

from collections.abc import Sequence

from mimovl.generate.engine import Engine
from mimovl.generate.gathering import UnansweredError
from mimovl.generate.sequence import RequestError
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
        """One list of completions for each request, in order; the leader only.

        Raises:
            UnansweredError: a request could not be answered, whoever's share it was; holds the answers of all others.
        """
        answers, failures = self._answer(self.team.broadcast(list(requests)))
        if failures:
            raise UnansweredError(answers, failures)
        return answers

    def serve(self) -> None:
        """Answer shares until the leader closes; the others only."""
        while (shared := self.team.broadcast(None)) is not None:
            self._answer(shared)

    def _answer(self, requests: Sequence[Request]) -> tuple[list[list[Completion]], dict[int, RequestError]]:
        """Everybody's answers, and why some have none, by place."""
        failures: dict[int, RequestError] = {}
        try:
            share = self.engine.generate(self.team.share(requests))
        except UnansweredError as error:
            share, failures = error.answers, error.failures
        merged = self.team.merge([(group, failures.get(place)) for place, group in enumerate(share)])
        return [group for group, _ in merged], {place: error for place, (_, error) in enumerate(merged) if error}

    def close(self) -> None:
        """Let the others go; the leader only."""
        self.team.broadcast(None)
