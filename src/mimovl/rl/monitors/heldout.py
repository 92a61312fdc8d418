"""Reward that rises while held-out does not: the sign that the policy learns its prompts, or its reward's holes.

Every few updates the same held-out prompts are asked, sampled as in training (greedy answers do not see what sampling
gains) and with the same seeds, so that two askings are compared question by question. An alert is given where the
training reward rose and the upper end of the paired 95 % interval of held-out's change stays below a part of that rise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mimovl.generate import Engine
from mimovl.reward.router import Rewards
from mimovl.rl.monitors.alert import Alert, Update, mean
from mimovl.rl.monitors.config import HeldoutConfig
from mimovl.rl.rewards import reward_groups
from mimovl.team import Team
from mimovl.types import Request, Sample, SamplingParams

__all__ = ["HeldoutMonitor", "choose_questions"]

Z = 1.96


def choose_questions(samples: Iterable[Sample], tasks: Sequence[str], count: int) -> list[Sample]:
    """The first ``count`` samples with gold of these tasks, a task at a time in turn."""
    members: dict[str, list[Sample]] = {task: [] for task in tasks}
    enough = math.ceil(count / max(1, len(tasks)))
    for sample in samples:
        if all(len(own) >= enough for own in members.values()):
            break
        if sample.task in members and sample.gold is not None and len(members[sample.task]) < count:
            members[sample.task].append(sample)
    turns = range(max((len(own) for own in members.values()), default=0))
    return [own[turn] for turn in turns for own in members.values() if turn < len(own)][:count]


class HeldoutMonitor:
    """See :class:`HeldoutConfig`.

    Args:
        config: thresholds, and how often.
        questions: what is asked.
        sampling: how.
        state: of an earlier one.
    """

    def __init__(
        self,
        config: HeldoutConfig,
        questions: Sequence[Sample],
        sampling: SamplingParams,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        state = state or {}
        self.config = config
        self.requests = [
            Request(sample, replace(sampling, seed=sampling.seed * 1_000_003 + number))
            for number, sample in enumerate(questions)
        ]
        self._rewards: list[float] = list(state.get("rewards", []))
        self._askings: list[list[Any]] = [list(one) for one in state.get("askings", [])]
        self._fresh = False

    def ask(self, number: int, engine: Engine, rewards: Rewards, team: Team) -> dict[str, Any]:
        """Ask, where it is time, with the parameters of before update ``number`` (counted from 1)."""
        self._fresh = bool(self.requests) and (number - 1) % self.config.every == 0
        if not self._fresh:
            return {}
        mine = team.share(self.requests)
        groups = team.merge(reward_groups(mine, engine.generate(mine), rewards, number))
        found = [group.rollouts[0].reward for group in groups]
        # Beside the training reward of the updates since the last asking; the first has only what follows.
        self._askings.append([number, mean(self._rewards) if self._rewards else None, found])
        self._rewards = []
        return {"heldout_reward": mean(found)}

    def look(self, update: Update) -> list[Alert]:
        """An alert where the reward rose since the first askings and held-out cannot have followed."""
        self._rewards.append(mean([rollout.reward for group in update.groups for rollout in group.rollouts]))
        known = [one for one in self._askings if one[1] is not None]
        if not self._fresh or len(known) < 2 or not self._askings:
            return []
        (_, before, first), (_, now, last) = known[0], known[-1]
        differences = [after - earlier for earlier, after in zip(first, last, strict=True)]
        change = mean(differences)
        variance = sum((one - change) ** 2 for one in differences) / max(1, len(differences) - 1)
        upper = change + Z * math.sqrt(variance / len(differences))
        rise = now - before
        if rise < self.config.rise or upper >= self.config.follow * rise:
            return []
        message = (
            f"the training reward rose by {rise:.3f} and held-out changed by {change:+.3f} (at most {upper:+.3f}): "
            "what is learned does not carry over"
        )
        return [Alert("heldout", "", message, upper, self.config.follow * rise, tuple(update.groups))]

    def state_dict(self) -> dict[str, Any]:
        """All askings (the first and the last matter), and the rewards since."""
        kept = [one for one in self._askings if one[1] is not None]
        return {"rewards": self._rewards, "askings": [*kept[:1], *kept[1:][-1:]] or self._askings[-1:]}
