"""How loud a task's rewards are: what a rollout's reward less its group's mean is divided by (an advantage's scale).

    unset       (r − mean) / std of the group, MiMo-VL eq. 2: every group is equally loud, however little its rewards
                differ
    none        r − mean (Dr. GRPO): a task of graded rewards close together is quieter than one of 0 and 1
    task        (r − mean) / running std of the task: tasks are equally loud, but within a task a box a pixel better is
                not as loud as right and wrong
    quantile    eq. 2 on the rank of r among the task's last rewards: only their order matters, and where they crowd,
                small differences count more

A linear rescaling of a task's rewards would change nothing under eq. 2, which divides it out again; that is why the
choice is about the divisor. The running std is the root mean square of the stds of the task's last groups that taught
anything; the ranks are among its last rewards, these included. Logged rewards stay as they were given.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from mimovl.rl.advantage import group_advantages, is_informative
from mimovl.types import RolloutGroup

__all__ = ["RewardScale", "ScaleName"]

ScaleName = Literal["none", "task", "quantile"]

GROUPS = 64
"""Groups of a task whose spread makes its running std."""
REWARDS = 1024
"""Rewards of a task among which a reward has its rank; where an update has more, all of its own."""


class RewardScale:
    """Advantages on the scale that a recipe names.

    Args:
        name: which.
        state: of an earlier one.
    """

    def __init__(self, name: ScaleName, state: Mapping[str, Any] | None = None) -> None:
        self.name = name
        self._known: dict[str, list[float]] = {task: list(values) for task, values in (state or {}).items()}

    def apply(self, groups: Sequence[RolloutGroup]) -> None:
        """Set the advantages of an update's groups, all that were sampled, and remember their rewards."""
        fresh: Counter[str] = Counter()
        for group in groups:
            self._note(group.request.sample.task, [rollout.reward for rollout in group.rollouts])
            fresh[group.request.sample.task] += len(group.rollouts)
        ordered: dict[str, list[float]] = {}
        if self.name == "quantile":
            ordered = {task: sorted(self._known[task][-max(REWARDS, count) :]) for task, count in fresh.items()}
        for group in groups:
            task = group.request.sample.task
            rewards = [rollout.reward for rollout in group.rollouts]
            advantages = self._advantages(task, rewards, ordered.get(task, []))
            for rollout, advantage in zip(group.rollouts, advantages, strict=True):
                rollout.advantage = advantage
        for task in ordered:  # not before: an update's own rewards are all among those that rank them
            del self._known[task][:-REWARDS]

    def _note(self, task: str, rewards: list[float]) -> None:
        kept = self._known.setdefault(task, [])
        if self.name == "quantile":
            kept.extend(rewards)
        elif self.name == "task" and is_informative(rewards):
            kept.append(_variance(rewards))
            del kept[:-GROUPS]

    def _advantages(self, task: str, rewards: list[float], ordered: Sequence[float]) -> list[float]:
        if not is_informative(rewards):
            return [0.0] * len(rewards)
        if self.name == "quantile":
            return group_advantages([_rank(ordered, reward) for reward in rewards])
        mean = sum(rewards) / len(rewards)
        variances = self._known[task]
        std = (sum(variances) / len(variances)) ** 0.5 if self.name == "task" else 1.0
        return [(reward - mean) / std for reward in rewards]

    def state_dict(self) -> dict[str, Any]:
        """What is remembered of each task, as JSON."""
        return {task: list(values) for task, values in self._known.items()}


def _variance(rewards: Sequence[float]) -> float:
    mean = sum(rewards) / len(rewards)
    return sum((reward - mean) ** 2 for reward in rewards) / max(1, len(rewards) - 1)


def _rank(ordered: Sequence[float], value: float) -> float:
    """The share of values below, those equal counted by half."""
    return (bisect_left(ordered, value) + bisect_right(ordered, value)) / (2 * len(ordered))
