"""TRL ``reward_funcs`` (GRPOTrainer, RLOOTrainer; 1.16): called with prompts, completions and the dataset's columns.

    trainer = GRPOTrainer(model, reward_funcs=trl_reward(task="math", gold="answer"), train_dataset=…)

or, with a service and beside other rewards, ``reward_funcs=[trl_async_reward("http://127.0.0.1:8000")]``: TRL awaits
asynchronous rewards together.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from mimovl.reward.adapters.columns import Columns, text_of
from mimovl.reward.adapters.where import ask_service, default_rewards
from mimovl.reward.client import AsyncRemoteRewards
from mimovl.reward.router import Rewards
from mimovl.types import Outcome, Verdict

__all__ = ["trl_async_reward", "trl_reward"]

NAME = "mimovl_reward"
"""Under which TRL logs it."""


def trl_reward(
    rewards: Rewards | None = None,
    *,
    task: str = "",
    gold: str = "gold",
    columns: Columns | None = None,
    not_graded: float | None = 0.0,
) -> Callable[..., list[float | None]]:
    """Make a reward function for TRL.

    Args:
        rewards: the router, or ``RemoteRewards``; where None, the service of ``MIMOVL_REWARD_URL``, else the router.
        task: of all rows; without it the dataset has a column ``task``.
        gold: the column with the gold answers.
        columns: names of all columns, in place of ``task`` and ``gold``.
        not_graded: the reward where no rule could decide; None leaves the completion out of this reward, as TRL does.

    Returns:
        ``(prompts, completions, **columns) -> rewards``; it raises DataError, naming the row, where a gold answer is
        missing or cannot be read.
    """
    names = columns or Columns(gold=gold, default_task=task)

    def mimovl_reward(prompts: Sequence[Any], completions: Sequence[Any], **rows: Any) -> list[float | None]:
        samples = names.samples(rows, len(completions), prompts)
        verdicts = (rewards or default_rewards()).score_many(samples, [text_of(one) for one in completions])
        return [_score(verdict, not_graded) for verdict in verdicts]

    return mimovl_reward


def trl_async_reward(
    rewards: AsyncRemoteRewards | str | None = None,
    *,
    task: str = "",
    gold: str = "gold",
    columns: Columns | None = None,
    not_graded: float | None = 0.0,
) -> Callable[..., Awaitable[list[float | None]]]:
    """The same, asynchronous; ``rewards`` is a client, or the address of a service, else ``MIMOVL_REWARD_URL`` is."""
    names = columns or Columns(gold=gold, default_task=task)

    async def mimovl_reward(prompts: Sequence[Any], completions: Sequence[Any], **rows: Any) -> list[float | None]:
        samples = names.samples(rows, len(completions), prompts)
        texts = [text_of(one) for one in completions]
        if isinstance(rewards, AsyncRemoteRewards):
            verdicts = await rewards.score_many(samples, texts)
        else:
            verdicts = await ask_service(rewards, samples, texts)
        return [_score(verdict, not_graded) for verdict in verdicts]

    return mimovl_reward


def _score(verdict: Verdict, not_graded: float | None) -> float | None:
    return not_graded if verdict.outcome is Outcome.NOT_GRADED else verdict.score
