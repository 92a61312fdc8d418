"""Rewards in [0, 1] for rollouts of any task, by the graders of ``mimovl.verify`` and by trained reward models.

Reward models are imported when they are asked for: processes that only grade need no model.
"""

from typing import TYPE_CHECKING, Any

from mimovl.reward.golden import check_golden, golden_answer
from mimovl.reward.router import RewardFunction, RewardRouter, Rewards, reward_options

if TYPE_CHECKING:
    from mimovl.reward.reward_model import BradleyTerryReward, load_reward_model

__all__ = [
    "BradleyTerryReward",
    "RewardFunction",
    "RewardRouter",
    "Rewards",
    "check_golden",
    "golden_answer",
    "load_reward_model",
    "reward_options",
]


def __getattr__(name: str) -> Any:
    if name in ("BradleyTerryReward", "load_reward_model"):
        from mimovl.reward import reward_model

        return getattr(reward_model, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
