"""Who rewards the rollouts: the router in this process, or a reward service; always many at once.

    rl: {rewards: {url: http://127.0.0.1:8000, token_env: MIMOVL_REWARD_TOKEN}}

All completions of a round go to the rewards in one call: a service is asked in a few large requests, reward models get
full micro-batches, and Math-Verify's processes work side by side.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pydantic import Field

from mimovl.errors import UsageError
from mimovl.recipe_model import RecipeModel
from mimovl.reward import RewardRouter, check_golden
from mimovl.reward.router import Rewards
from mimovl.reward.service_config import TOKEN_VARIABLE
from mimovl.rl.advantage import group_advantages
from mimovl.types import Completion, Request, Rollout, RolloutGroup, Sample

__all__ = ["RewardsConfig", "check_rewards", "open_rewards", "reward_groups"]


class RewardsConfig(RecipeModel):
    """A reward service in the place of the router in this process (``mimovl reward serve``)."""

    url: str = Field(min_length=1)
    """Its address; several, with commas between them, are asked in turn."""
    token_env: str = Field(default=TOKEN_VARIABLE, min_length=1)
    """Environment variable that holds its bearer token; a token itself is never written into a recipe."""
    timeout: float = Field(default=300.0, gt=0)
    """Seconds for the rewards of one round, all tries included; after that the step stops where it can be resumed."""
    batch: int = Field(default=256, ge=1)
    """Most completions of one request."""


@contextmanager
def open_rewards(config: RewardsConfig | None) -> Iterator[Rewards]:
    """What the recipe asks for: the router, or a client of a service, whose connections are closed in the end.

    Raises:
        UsageError: the address is none, or the variable named for the token is not set.
        MissingExtraError: the ``client`` extra is not installed.
    """
    if config is None:
        yield RewardRouter()
        return
    from mimovl.reward.client import RemoteRewards
    from mimovl.reward.retry import RetryPolicy

    token = os.environ.get(config.token_env)
    if token is None and config.token_env != TOKEN_VARIABLE:
        raise UsageError(f"rl.rewards.token_env names {config.token_env}, which is not set; export the token there")
    policy = RetryPolicy(timeout=config.timeout)
    with RemoteRewards(config.url, token=token or "", policy=policy, batch=config.batch) as remote:
        yield remote


def check_rewards(prompts: Sequence[Sample], tasks: Sequence[str], rewards: Rewards) -> None:
    """Ask for the reward of one gold answer of each task, so that a service that cannot reward is found out at once.

    Raises:
        DataError: a task is unknown there, or a gold answer does not earn 1.
        UsageError: the token is refused, there is no reward service, or it does not answer.
    """
    first: dict[str, Sample] = {}
    for sample in prompts:
        if sample.task in tasks and sample.gold is not None:
            first.setdefault(sample.task, sample)
        if len(first) == len(tasks):
            break
    check_golden(first.values(), rewards)


def reward_groups(
    requests: Sequence[Request], answers: Sequence[Sequence[Completion]], rewards: Rewards, version: int
) -> list[RolloutGroup]:
    """Groups with rewards and advantages, all rewarded in one call.

    Args:
        requests: the prompts.
        answers: completions of each.
        rewards: the router, or a service.
        version: of the policy that wrote them.

    Raises:
        DataError: a prompt has no gold, or one that cannot be read; names sample and field.
        UsageError: a service refuses, or does not answer in time.
    """
    samples = [request.sample for request, group in zip(requests, answers, strict=True) for _ in group]
    verdicts = iter(rewards.score_many(samples, [completion for group in answers for completion in group]))
    groups = []
    for request, completions in zip(requests, answers, strict=True):
        rollouts = [Rollout(one, verdict.score, verdict) for one, verdict in zip(completions, verdicts, strict=False)]
        for rollout, advantage in zip(rollouts, group_advantages([one.reward for one in rollouts]), strict=True):
            rollout.advantage = advantage
        groups.append(RolloutGroup(request, rollouts, policy_version=version))
    return groups
