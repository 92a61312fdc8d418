"""Reward that rises while held-out does not: the sign that the policy learns its prompts, or its reward's holes.

Every few updates the same held-out prompts are asked, sampled as in training (greedy answers do not see what sampling
gains) and with the same seeds, so that two askings are compared question by question. The training reward between two
askings belongs to the mean of both; the last such stretch is compared with the first. Both changes are uncertain: the
rise by the prompts that happened to be drawn, held-out's by its few questions. An alert is given where, three askings
in a row, the rise is large and held-out's change stays, with 95 % confidence, below a part of it. (Of simulated
trainings of 100 updates in which nothing is learned, one or two in a hundred give an alert where an update has 8 or 16
prompts, next to none where it has 32.)
"""

from __future__ import annotations

import math
import random
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

Z = 1.645
"""One-sided 95 %."""
ROW = 3
"""Askings in a row: once in a while one is wrong by chance, and a failure lasts."""


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
        thinking: share of a task's questions asked in thinking mode; a task not named thinks always.
        budgets: longest answer of single tasks, tokens, in the place of the sampling's.
    """

    def __init__(
        self,
        config: HeldoutConfig,
        questions: Sequence[Sample],
        sampling: SamplingParams,
        state: Mapping[str, Any] | None = None,
        *,
        thinking: Mapping[str, float] | None = None,
        budgets: Mapping[str, int] | None = None,
    ) -> None:
        state = state or {}
        self.config = config
        self.requests = [
            Request(
                sample,
                replace(
                    sampling,
                    max_tokens=(budgets or {}).get(sample.task, sampling.max_tokens),
                    seed=sampling.seed * 1_000_003 + number,
                ),
                thinking=_thinks(sample, (thinking or {}).get(sample.task, 1.0)),
            )
            for number, sample in enumerate(questions)
        ]
        # The first two askings and the last two; the stretches of training after the first and before the last.
        self._asked: list[list[float]] = [list(one) for one in state.get("asked", [])]
        self._stretches: list[list[float]] = [list(one) for one in state.get("stretches", [])]
        self._open: list[float] = list(state.get("open", _NOTHING))
        self._row: int = state.get("row", 0)
        self._fresh = False

    def ask(self, number: int, engine: Engine, rewards: Rewards, team: Team) -> dict[str, Any]:
        """Ask, where it is time, with the parameters of before update ``number`` (counted from 1)."""
        self._fresh = bool(self.requests) and (number - 1) % self.config.every == 0
        if not self._fresh:
            return {}
        mine = team.share(self.requests)
        groups = team.merge(reward_groups(mine, engine.generate(mine), rewards, number))
        found = [group.rollouts[0].reward for group in groups]
        self._note(found)
        return {"heldout_reward": mean(found)}

    def _note(self, found: list[float]) -> None:
        """Another asking, which ends a stretch of training unless it is the first."""
        if self._asked:
            self._stretches = [*self._stretches[:1], self._open]
        self._asked = [*self._asked[:2], *self._asked[2:][-1:], found]
        self._open = list(_NOTHING)

    def look(self, update: Update) -> list[Alert]:
        """An alert where the reward has risen since the first askings and held-out cannot have followed."""
        for group in update.groups:
            reward = mean([rollout.reward for rollout in group.rollouts])
            self._open = [old + new for old, new in zip(self._open, (1.0, reward, reward * reward), strict=True)]
        if not self._fresh or len(self._stretches) < 2:
            return []
        (before, old), (now, new) = map(_mean_and_variance, self._stretches)
        differences = [(a + b - c - d) / 2 for a, b, c, d in zip(*self._asked[-2:], *self._asked[:2], strict=True)]
        rise, change, count = now - before, mean(differences), len(differences)
        variance = sum((one - change) ** 2 for one in differences) / max(1, count - 1)
        # That no question has changed does not prove that none would: as if one had.
        variance = max(variance, 1 / count) / count + self.config.follow**2 * (old + new)
        upper, limit = change + Z * math.sqrt(variance), self.config.follow * rise
        self._row = self._row + 1 if rise >= self.config.rise and upper < limit else 0
        if self._row < ROW:
            return []
        message = (
            f"the training reward rose by {rise:.3f} and held-out changed by {change:+.3f} (at most {upper:+.3f}): "
            "what is learned does not carry over"
        )
        return [Alert("heldout", "", message, upper, limit, tuple(update.groups))]

    def state_dict(self) -> dict[str, Any]:
        """The askings and stretches that are compared, the stretch since, and how many askings were bad in a row."""
        return {"asked": self._asked, "stretches": self._stretches, "open": self._open, "row": self._row}


_NOTHING = (0.0, 0.0, 0.0)
"""A stretch of training: prompts, sum of their mean rewards, sum of the squares."""


def _mean_and_variance(stretch: Sequence[float]) -> tuple[float, float]:
    """Of a stretch: the mean reward of its prompts, and the variance of that mean."""
    count, total, squares = stretch
    if count < 2:
        return total / max(1.0, count), 0.25  # as uncertain as a reward in [0, 1] can be
    return total / count, max(0.0, squares - total * total / count) / (count - 1) / count


def _thinks(sample: Sample, share: float) -> bool | None:
    """The mode of a question as training draws it, always the same: as the template has it, or not thinking."""
    return None if random.Random(sample.id).random() < share else False
