"""Rewards for ms-swift by its documented classes; tests/reward/adapters/plugins has them in swift's own registry."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mimovl.errors import DataError
from mimovl.reward.adapters.ms_swift import register
from tests.reward.running import RunningService


class ORM:
    """As swift documents it."""

    def __init__(self, args: Any = None, **kwargs: Any) -> None:
        self.args = args


@pytest.fixture
def orms() -> dict[str, Any]:
    found: dict[str, Any] = {}
    register(found, ORM, ORM)
    return found


def test_completions_are_rewarded_by_the_columns_of_the_dataset(orms: dict[str, Any]) -> None:
    reward = orms["mimovl"](args=object())
    columns = {"task": ["counting", "grounding"], "messages": [[], []], "trainer_state": object()}
    assert reward(["3", "[0,0,10,5]"], gold=["3", "[0, 0, 10, 10]"], **columns) == [1.0, 0.75]
    conversations = [[{"role": "assistant", "content": "3"}]] * 2
    assert reward(completions=conversations, gold=[3, 4], task=["counting"] * 2) == [1.0, 0.0]


def test_the_column_may_be_called_solution_and_one_task_be_of_all(
    orms: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIMOVL_REWARD_TASK", "math")
    assert orms["mimovl"]()(completions=[r"\boxed{0.5}"], solution=[r"\frac12"]) == [1.0]
    with pytest.raises(DataError, match="none of the columns gold, solution, answer, ground_truth"):
        orms["mimovl"]()(completions=["3"])


def test_the_asynchronous_one_asks_the_service(
    orms: dict[str, Any], running: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIMOVL_REWARD_URL", running.url)
    reward = orms["mimovl_async"]()
    assert asyncio.run(reward(completions=["3", "4"], gold=[3, 3], task=["counting"] * 2)) == [1.0, 0.0]
    assert orms["mimovl"]()(completions=["3", "4"], gold=[3, 3], task=["counting"] * 2) == [1.0, 0.0]
