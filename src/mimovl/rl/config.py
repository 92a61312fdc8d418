"""What a recipe says about mixed on-policy reinforcement learning (MORL)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mimovl.recipe_model import RecipeModel
from mimovl.rl.monitors.config import MonitorsConfig
from mimovl.rl.placement import check_placement
from mimovl.rl.reward_scale import ScaleName
from mimovl.rl.rewards import RewardsConfig
from mimovl.rl.rollout_config import RolloutConfig
from mimovl.rl.task_gradients import InterferenceConfig
from mimovl.train.config import OptimizerConfig, PartName
from mimovl.train.parallel_config import ParallelConfig
from mimovl.train.spikes import SpikeConfig

__all__ = ["Normaliser", "RLConfig", "VanillaConfig"]

Share = Annotated[float, Field(ge=0, le=1)]


Normaliser = Literal["group", "sequence"]
"""What a token's share in the loss is: ``group``, one of all tokens of its group (MiMo-VL eq. 1), so that every
token weighs the same whatever the length of its answer; ``sequence``, one of those of its answer, and every answer
weighs the same (GRPO as first published)."""


class VanillaConfig(RecipeModel):
    """GRPO with several updates on each batch of rollouts, for comparison with the on-policy one."""

    updates: int = Field(default=16, ge=1)
    """Updates on the rollouts of one policy, each on its part of the groups (MiMo-7B: 16)."""
    clip_low: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """How far the ratio may fall below 1 before a token teaches no more (PPO: 0.2)."""
    clip_high: float = Field(default=0.28, ge=0)
    """How far it may rise above 1 (DAPO: 0.28)."""
    kl: float = Field(default=0.0, ge=0)
    """Weight of the divergence from the policy the step began with; 0 needs no reference (MiMo-7B: none)."""
    normaliser: Normaliser = "group"
    """A token's share in the loss: one of all tokens of its group (MiMo-7B), or of its sequence (DeepSeekMath)."""


class RLConfig(RecipeModel):
    """Fully on-policy GRPO over several verifiable tasks at once (MiMo-VL §3.3)."""

    name: str = Field(default="morl", pattern=r"^[a-z0-9][a-z0-9-]*$")
    """Name of the step; its folder is the step's number and this name."""
    tasks: dict[str, Annotated[float, Field(ge=0)]] = Field(min_length=1)
    """Relative weight of each task, by prompt drawn. ours: the report gives no mixture."""
    thinking: dict[str, Share] = {}
    """Share of a task's prompts asked in thinking mode; a task not named here thinks always."""
    steps: int = Field(ge=1)
    """Policy updates, each on fresh rollouts."""
    groups: int = Field(default=32, ge=1)
    """Prompts of an update, after dynamic sampling. ours: the report gives none (MiMo-7B: 512)."""
    samples: int = Field(default=8, ge=2)
    """Rollouts of each prompt. ours: the report gives none."""
    dynamic_sampling: bool = True
    """Leave out prompts whose rollouts all earn the same reward, and draw others in their place (§3.3)."""
    min_spread: Annotated[float, Field(ge=0, lt=1)] = 1e-3
    """Dynamic sampling keeps a prompt whose best and worst rewards, each in [0, 1], differ by more than this."""
    oversample: float = Field(default=1.5, ge=1)
    """Prompts rolled out at once for each one still missing, foreseeing those that dynamic sampling drops."""
    max_rounds: int = Field(default=3, ge=1)
    """Rounds of sampling before an update goes ahead with the groups it has."""
    rollout: RolloutConfig = RolloutConfig()
    """How rollouts are collected: round by round by default, or seamlessly."""
    scale: ScaleName | None = None
    """What advantages are divided by: none, task or quantile (rl/reward_scale.py); unset: the group's std (eq. 2)."""
    interference: InterferenceConfig | None = None
    """Cosines of the tasks' gradients, and settling of their conflicts; unset: neither."""
    easy_share: Share = 0.0
    """Share of prompts drawn from those that are always solved, which are left out otherwise (MiMo-7B: 0.1); 0 treats
    them like any other."""
    rewards: RewardsConfig | None = None
    """A reward service; unset: the rewards are computed in this process."""
    vanilla: VanillaConfig | None = None
    """Vanilla GRPO in the place of the fully on-policy one; absent by default, as in the report."""
    temperature: float = Field(default=1.0, gt=0)
    """Of the rollouts; 1 samples the policy itself, as on-policy training assumes (MiMo-7B: 1.0)."""
    max_tokens: int = Field(default=192, ge=1)
    """Longest rollout."""
    budgets: dict[str, Annotated[int, Field(ge=1)]] | None = None
    """Longest rollout of single tasks, at most max_tokens, so that long reasoning does not teach short tasks to ramble.
    ours: the report leaves interference open (§5)."""
    train: tuple[PartName, ...] = ("vision", "projector", "language")
    """Parts whose parameters change."""
    learning_rate: dict[PartName, Annotated[float, Field(gt=0)]]
    """Peak learning rate of each trained part. ours: the report gives none (MiMo-7B: 1e-6)."""
    warmup: Share = 0.05
    """Share of the steps over which the learning rate rises from zero."""
    final: Share = 1.0
    """Share of the peak learning rate that is left at the last step."""
    optimizer: OptimizerConfig = OptimizerConfig(weight_decay=0.0)
    """How gradients become updates."""
    length: int = Field(default=4096, ge=64)
    """Tokens of a pack in the update."""
    slots: int = Field(default=128, ge=1)
    """Sequences the rollout engine runs at once."""
    logged_groups: int = Field(default=2, ge=0)
    """Groups of each update written to rollouts.jsonl."""
    monitors: MonitorsConfig | None = None
    """Watches over the known failures; unset: all but held-out, with their default thresholds."""
    spikes: SpikeConfig | None = None
    """What to do about a gradient that is no number or far too high; unset: stop at the one, log the other."""
    parallel: ParallelConfig | None = None
    """Precision of the policy, and what its blocks keep (rl/placement.py); unset: float32, everything kept. The top's
    is that of the stages."""
    save_seconds: float = Field(default=30.0, gt=0)
    """A checkpoint to resume from is written at least this often."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if missing := [part for part in self.train if part not in self.learning_rate]:
            raise ValueError(f"{self.name} trains {missing[0]} but gives it no learning_rate")
        if idle := [part for part in self.learning_rate if part not in self.train]:
            raise ValueError(f"{self.name} gives {idle[0]} a learning_rate but does not train it; add it to train")
        if self.slots < self.samples:
            raise ValueError(
                f"slots {self.slots} are fewer than samples {self.samples}, and a prompt's samples run at once; raise "
                "slots or lower samples"
            )
        if self.rollout.servers and self.temperature != 1:
            raise ValueError(
                f"temperature is {self.temperature:g}, but vLLM servers (rollout.servers) tell the policy's own "
                "log-probabilities at temperature 1 only; set it to 1 or leave servers out"
            )
        if self.parallel:
            check_placement(self.parallel, self.optimizer)
            if self.interference and self.parallel.own_gradients:
                raise ValueError("interference reads gradients in their parameters' type; set gradient_dtype like it")
        if unknown := [task for task in self.thinking if task not in self.tasks]:
            raise ValueError(f"thinking names task {unknown[0]}, which is not among tasks")
        for task, budget in (self.budgets or {}).items():
            if task not in self.tasks:
                raise ValueError(f"budgets names task {task}, which is not among tasks")
            if budget > self.max_tokens:
                raise ValueError(f"budgets gives task {task} {budget} tokens, more than max_tokens {self.max_tokens}")
        return self
