"""Prompts in, a better policy out: fully on-policy GRPO over mixed verifiable tasks."""

from mimovl.rl.advantage import group_advantages, is_informative
from mimovl.rl.config import RLConfig
from mimovl.rl.loss import pack_groups, policy_terms
from mimovl.rl.trainer import PromptSource, train_policy

__all__ = [
    "PromptSource",
    "RLConfig",
    "group_advantages",
    "is_informative",
    "pack_groups",
    "policy_terms",
    "train_policy",
]
