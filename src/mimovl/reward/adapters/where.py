"""Which rewards an adapter uses: the service that ``MIMOVL_REWARD_URL`` names, else the router in this process."""

from __future__ import annotations

import os
from functools import lru_cache

from mimovl.reward.client import AsyncRemoteRewards, RemoteRewards
from mimovl.reward.router import RewardRouter, Rewards

__all__ = ["URL_VARIABLE", "async_rewards", "default_rewards"]

URL_VARIABLE = "MIMOVL_REWARD_URL"
"""Environment variable: addresses of reward services, separated by commas."""


def default_rewards(url: str | None = None) -> Rewards:
    """The rewards at ``url``, else at ``MIMOVL_REWARD_URL``, else in this process; one object for each address."""
    return _rewards(url if url is not None else os.environ.get(URL_VARIABLE, ""))


def async_rewards(url: str | None = None) -> AsyncRemoteRewards:
    """An asynchronous client of the service at ``url``, else at ``MIMOVL_REWARD_URL``.

    Raises:
        UsageError: neither is given.
    """
    return AsyncRemoteRewards(url if url is not None else os.environ.get(URL_VARIABLE, ""))


@lru_cache(maxsize=16)
def _rewards(urls: str) -> Rewards:
    return RemoteRewards(urls) if urls.strip() else RewardRouter()
