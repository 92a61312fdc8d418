"""What a recipe says about how rollouts are collected: each part of seamless rollout is a switch of its own.

| switches on                                              | row of the report's ablation (MiMo-7B, Table 3) |
|----------------------------------------------------------|-------------------------------------------------|
| none, ``dynamic_sampling: false``                        | no dynamic sampling                             |
| none                                                     | naive dynamic sampling                          |
| ``continuous``                                           | + continuous rollout                            |
| ``continuous, asynchronous_rewards``                     | + asynchronous reward                           |
| ``continuous, asynchronous_rewards, early_termination``  | + early termination                             |
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mimovl.recipe_model import RecipeModel

__all__ = ["RolloutConfig"]


class RolloutConfig(RecipeModel):
    """Seamless rollout (MiMo-7B §3.4); with nothing switched on, prompts are rolled out round by round."""

    continuous: bool = False
    """Start a prompt whenever there is room and the valid groups foreseen fall short, in the place of whole rounds."""
    asynchronous_rewards: bool = False
    """Reward a finished group in the background, while others are still being sampled."""
    early_termination: bool = False
    """Abort what runs once the batch is full and all that started before its last group has finished."""
    margin: Annotated[float, Field(ge=0)] = 0.0
    """Continuous rollout foresees so many standard deviations fewer valid groups than it expects. More of it shortens
    the end of a step and wastes more of what was sampled."""
    round_groups: int | None = Field(default=None, ge=1)
    """Prompts of a round of naive dynamic sampling (DAPO: as many as an update takes); by default those still missing,
    times ``oversample``."""
    servers: tuple[str, ...] = ()
    """Addresses of vLLM servers that answer in the place of the embedded engine; they must see the run's folder under
    the same path, from which they load the parameters of each step."""
    reward_workers: int = Field(default=8, ge=1)
    """Groups rewarded at once."""
    reward_seconds: float = Field(default=300.0, gt=0)
    """Seconds after which a group's reward counts as lost."""
    reward_tries: int = Field(default=3, ge=1)
    """How often a group's reward is asked for before the group is dropped."""
    max_dropped: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Share of a step's groups that faults may drop before the training stops with the first of them; three always
    may."""
