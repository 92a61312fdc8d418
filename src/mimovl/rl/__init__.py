"""Prompts in, a better policy out: fully on-policy GRPO over mixed verifiable tasks, and vanilla GRPO beside it."""

from mimovl.rl.advantage import group_advantages, is_informative
from mimovl.rl.algorithm import Algorithm, PolicyTokens
from mimovl.rl.config import RLConfig, VanillaConfig
from mimovl.rl.easy_pool import EasyPool
from mimovl.rl.loss import policy_logprobs, policy_terms
from mimovl.rl.on_policy import on_policy_loss
from mimovl.rl.packing import pack_groups
from mimovl.rl.prompts import PromptSource
from mimovl.rl.trainer import train_policy
from mimovl.rl.update import update_policy
from mimovl.rl.vanilla import clipped_loss

__all__ = [
    "Algorithm",
    "EasyPool",
    "PolicyTokens",
    "PromptSource",
    "RLConfig",
    "VanillaConfig",
    "clipped_loss",
    "group_advantages",
    "is_informative",
    "on_policy_loss",
    "pack_groups",
    "policy_logprobs",
    "policy_terms",
    "train_policy",
    "update_policy",
]
