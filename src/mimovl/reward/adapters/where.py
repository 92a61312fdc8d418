"""Which rewards an adapter uses: the service that ``MIMOVL_REWARD_URL`` names, else the router in this process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from functools import lru_cache

from mimovl.errors import UsageError
from mimovl.reward.client import RemoteRewards
from mimovl.reward.router import RewardRouter, Rewards
from mimovl.types import Sample, Verdict

__all__ = ["URL_VARIABLE", "ask_service", "default_rewards"]

URL_VARIABLE = "MIMOVL_REWARD_URL"
"""Environment variable: addresses of reward services, separated by commas."""


def default_rewards(url: str | None = None) -> Rewards:
    """The rewards at ``url``, else at ``MIMOVL_REWARD_URL``, else in this process; one object for each address."""
    return _rewards(url if url is not None else os.environ.get(URL_VARIABLE, ""))


async def ask_service(url: str | None, samples: Sequence[Sample], texts: Sequence[str]) -> list[Verdict]:
    """The rewards of the service at ``url``, else at ``MIMOVL_REWARD_URL``, awaited; one client for all event loops.

    Raises:
        UsageError: no address is given.
        DataError: the service refuses an item; names sample and field.
        ServiceUnavailableError: no answer in time.
    """
    rewards = default_rewards(url)
    if not isinstance(rewards, RemoteRewards):
        raise UsageError(f"no address of a reward service: set {URL_VARIABLE}, e.g. to http://127.0.0.1:8000")
    return await asyncio.wrap_future(rewards.submit(samples, texts))


@lru_cache(maxsize=16)
def _rewards(urls: str) -> Rewards:
    return RemoteRewards(urls) if urls.strip() else RewardRouter()
