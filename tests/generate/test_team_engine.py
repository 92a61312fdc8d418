"""The protocol of a team, with processes stood in for by threads that meet at a barrier."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from mimovl.generate import Engine, TeamEngine, UnansweredError
from mimovl.team import ALONE, Team
from mimovl.types import Request, Sample, SamplingParams
from tests import tiny


class Together(Team):
    """Members that exchange values through memory instead of ``torch.distributed``."""

    def __init__(self, rank: int, size: int, barrier: threading.Barrier, board: dict[int, Any]) -> None:
        super().__init__(rank, size)
        self._barrier = barrier
        self._board = board

    def gather(self, value: Any) -> list[Any]:
        self._board[self.rank] = value
        self._barrier.wait(timeout=60)
        values = [self._board[rank] for rank in range(self.size)]
        self._barrier.wait(timeout=60)
        return values

    def broadcast(self, value: Any) -> Any:
        return self.gather(value)[0]


def requests(count: int) -> list[Request]:
    sampling = [SamplingParams(temperature=1.0, max_tokens=5, seed=number) for number in range(count)]
    questions = tiny.questions("world/counting", 8)
    return [Request(questions[number % 8], sampling[number], 2) for number in range(count)]


def alone() -> Engine:
    return Engine(tiny.model(sharp=8), tiny.processor(), slots=8)


@pytest.mark.parametrize(("size", "count"), [(2, 7), (3, 2), (2, 0)])
def test_answers_come_in_the_order_asked_whoever_gave_them(size: int, count: int) -> None:
    asked = requests(count)
    expected = [[completion.tokens for completion in group] for group in alone().generate(asked)]
    barrier, board = threading.Barrier(size), {}
    teams = [Together(rank, size, barrier, board) for rank in range(size)]
    engines = [alone() for _ in teams]
    servers = [
        threading.Thread(target=TeamEngine(engine, team).serve)
        for team, engine in zip(teams[1:], engines[1:], strict=True)
    ]
    for server in servers:
        server.start()
    leader = TeamEngine(engines[0], teams[0])
    rounds = [leader.generate(asked), leader.generate(asked[:1])]
    leader.close()
    for server in servers:
        server.join(timeout=60)
        assert not server.is_alive()
    assert [[completion.tokens for completion in group] for group in rounds[0]] == expected
    assert [[completion.tokens for completion in group] for group in rounds[1]] == expected[:1]
    shares = [engine.tokens_generated for engine in engines]
    assert count < size or all(shares)


def test_a_team_of_one_is_the_engine_itself() -> None:
    asked = requests(3)
    team = TeamEngine(alone(), ALONE)
    assert [[c.tokens for c in group] for group in team.generate(asked)] == [
        [c.tokens for c in group] for group in alone().generate(asked)
    ]
    team.close()


@pytest.mark.parametrize("place", [1, 2])
def test_a_question_nobody_can_answer_costs_no_other_whoever_had_it(place: int) -> None:
    """Of two processes the leader has the even places."""
    asked = requests(5)
    expected = [[completion.tokens for completion in group] for group in alone().generate(asked)]
    asked.insert(place, Request(Sample("empty", ())))
    barrier, board = threading.Barrier(2), {}
    teams = [Together(rank, 2, barrier, board) for rank in range(2)]
    server = threading.Thread(target=TeamEngine(alone(), teams[1]).serve)
    server.start()
    leader = TeamEngine(alone(), teams[0])
    with pytest.raises(UnansweredError, match="sample empty") as caught:
        leader.generate(asked)
    leader.close()
    server.join(timeout=60)
    assert not server.is_alive() and list(caught.value.failures) == [place]
    answers = [[completion.tokens for completion in group] for group in caught.value.answers]
    assert answers.pop(place) == [] and answers == expected
