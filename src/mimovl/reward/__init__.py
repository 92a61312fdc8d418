"""Rewards in [0, 1] for rollouts of any task, by the graders of ``mimovl.verify``."""

from mimovl.reward.golden import check_golden, golden_answer
from mimovl.reward.router import RewardFunction, RewardRouter, reward_options

__all__ = ["RewardFunction", "RewardRouter", "check_golden", "golden_answer", "reward_options"]
