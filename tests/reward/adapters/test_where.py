"""Which rewards an adapter uses."""

from __future__ import annotations

import asyncio

import pytest

from mimovl.errors import UsageError
from mimovl.reward import RewardRouter
from mimovl.reward.adapters.where import ask_service, default_rewards
from mimovl.reward.client import RemoteRewards
from mimovl.types import Gold, Sample
from tests.reward.running import RunningService


def test_the_router_of_this_process_unless_a_service_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIMOVL_REWARD_URL", raising=False)
    assert isinstance(default_rewards(), RewardRouter)
    assert default_rewards() is default_rewards(), "one object, so that a client's connections are kept"
    remote = default_rewards("http://127.0.0.1:9")
    assert isinstance(remote, RemoteRewards) and remote is default_rewards("http://127.0.0.1:9")
    monkeypatch.setenv("MIMOVL_REWARD_URL", "http://127.0.0.1:9")
    assert default_rewards() is remote
    assert isinstance(default_rewards(""), RewardRouter), "an empty address is this process, whatever the variable says"


def test_an_asynchronous_caller_needs_an_address(running: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ([Sample("a", (), task="counting", gold=Gold("count", 3))], ["3"])
    monkeypatch.delenv("MIMOVL_REWARD_URL", raising=False)
    with pytest.raises(UsageError, match="no address of a reward service: set MIMOVL_REWARD_URL"):
        asyncio.run(ask_service(None, *asked))
    monkeypatch.setenv("MIMOVL_REWARD_URL", running.url)
    for _ in range(2):  # each time another event loop
        assert [verdict.score for verdict in asyncio.run(ask_service(None, *asked))] == [1.0]
