"""Rewards for ms-swift: the documented classes, and swift's own registry where swift is installed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import mimovl.reward.adapters
from mimovl.errors import DataError
from mimovl.reward.adapters.ms_swift import register
from tests.reward.adapters.installed import run_beside
from tests.reward.running import RunningService

FILE = Path(mimovl.reward.adapters.__path__[0]) / "ms_swift.py"


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


PLUGIN = """
import asyncio, importlib.util, json, sys
from swift.rewards import AsyncORM, ORM, orms
spec = importlib.util.spec_from_file_location("plugin", sys.argv[1])  # as --external_plugins loads a file
spec.loader.exec_module(importlib.util.module_from_spec(spec))
one, other = orms["mimovl"](args=None), orms["mimovl_async"](args=None)
assert isinstance(one, ORM) and isinstance(other, AsyncORM)
columns = dict(gold=["3", "3"], task=["counting"] * 2)
print("FOUND", json.dumps([one(["3", "4"], **columns), asyncio.run(other(["3", "4"], **columns))]))
"""


@pytest.mark.engines
def test_swift_finds_our_rewards_in_its_registry(running: RunningService) -> None:
    said = run_beside("swift", PLUGIN, str(FILE), MIMOVL_REWARD_URL=running.url)
    assert json.loads(said.partition("FOUND ")[2]) == [[1.0, 0.0], [1.0, 0.0]]
