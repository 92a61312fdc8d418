"""What comes back of requests that are asked all at once: the answers, and which of them could not be given."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from mimovl.generate.sequence import Finished, RequestError
from mimovl.types import Completion, Request

__all__ = ["Gathering", "UnansweredError"]

NAMED = 3
"""Failures told in full; the others are counted."""


class UnansweredError(RequestError):
    """Some of the requests asked at once could not be answered; all others were, and what they said is kept here.

    Args:
        answers: completions of each request, in order; none where it was given up.
        failures: why, by the request's place; at least one.
    """

    def __init__(self, answers: Sequence[list[Completion]], failures: Mapping[int, RequestError]) -> None:
        told = [failures[place] for place in sorted(failures)]
        story = "; ".join(map(str, told[:NAMED]))
        if len(told) > NAMED:
            story += f"; and {len(told) - NAMED} more, of {len(answers)} requests"
        super().__init__(story, ticket=told[0].ticket, reason=told[0].reason)
        self.answers = list(answers)
        self.failures = dict(failures)


class Gathering:
    """Collects samples by request, in whatever order they finish.

    Args:
        requests: in the order in which their tickets will be told.
    """

    def __init__(self, requests: Sequence[Request]) -> None:
        self._found: list[list[Completion | None]] = [[None] * request.num_samples for request in requests]
        self._places: dict[int, int] = {}
        self._failures: dict[int, RequestError] = {}
        self.total = sum(map(len, self._found))
        """Samples asked for."""
        self.finished = 0
        """Samples that are done or given up."""

    @property
    def tickets(self) -> Collection[int]:
        """Of all requests asked so far."""
        return self._places.keys()

    def asked(self, ticket: int) -> None:
        """The next request has this ticket."""
        self._places[ticket] = len(self._places)

    def take(self, done: Finished) -> bool:
        """A sample is done; False if it is of none of these requests."""
        place = self._places.get(done.ticket)
        if place is not None and place not in self._failures:
            self._found[place][done.sample] = done.completion
            self.finished += 1
        return place is not None

    def fail(self, error: RequestError) -> bool:
        """A request is given up, with what its samples have written; False if it is none of these."""
        place = self._places.get(error.ticket)
        if place is not None and place not in self._failures:
            self._failures[place] = error
            self.finished += self._found[place].count(None)
            self._found[place] = []
        return place is not None

    def answers(self) -> list[list[Completion]]:
        """One list of completions for each request, in order.

        Raises:
            UnansweredError: not all could be answered.
        """
        found = [[one for one in group if one is not None] for group in self._found]
        if self._failures:
            raise UnansweredError(found, self._failures)
        return found
