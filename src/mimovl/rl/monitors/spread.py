"""Groups whose rewards do not differ: those that are never solved, or earn the same whatever is said; and solved ones.

Dynamic sampling drops both and draws others in their place, so a task that has nothing but such groups, of one sort or
of both, takes rollouts and gives nothing back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mimovl.rl.advantage import is_informative
from mimovl.rl.monitors.alert import Alert, Recent, Update, by_task, mean
from mimovl.rl.monitors.config import SpreadConfig
from mimovl.types import RolloutGroup

__all__ = ["SpreadMonitor"]


class SpreadMonitor:
    """See :class:`SpreadConfig`.

    Args:
        config: thresholds.
        state: of an earlier one.
        min_spread: by how much rewards must differ to teach anything; dynamic sampling's.
    """

    def __init__(
        self, config: SpreadConfig, state: Mapping[str, Any] | None = None, *, min_spread: float = 1e-3
    ) -> None:
        state = state or {}
        self.config = config
        self.min_spread = min_spread
        # Of each task's last groups; twice as many as are needed to say something.
        self._stuck = Recent(2 * config.least, state.get("stuck"))
        self._solved = Recent(2 * config.least, state.get("solved"))

    def look(self, update: Update) -> list[Alert]:
        """Alerts of the tasks whose groups teach nothing."""
        alerts = []
        for task, groups, _ in by_task(update.groups):
            stuck, solved = [], []
            flat: list[RolloutGroup] = []
            for group in groups:
                rewards = [rollout.reward for rollout in group.rollouts]
                is_flat = not is_informative(rewards, spread=self.min_spread)
                is_solved = is_flat and min(rewards) >= 1 - 1e-3
                solved.append(float(is_solved))
                stuck.append(float(is_flat and not is_solved))
                flat += [group] if is_flat else []
            shares = mean(self._stuck.add(task, *stuck)), mean(self._solved.add(task, *solved))
            if len(self._stuck.values[task]) >= self.config.least:
                alerts += self._judge(task, *shares, tuple(flat))
        return alerts

    def _judge(self, task: str, stuck: float, solved: float, flat: tuple[RolloutGroup, ...]) -> list[Alert]:
        if stuck >= self.config.stuck:
            message = f"{stuck:.0%} of the prompts earn one reward whatever is said: check reward and prompts"
            return [Alert("spread", task, message, stuck, self.config.stuck, flat, kind="stuck")]
        if solved >= self.config.solved:
            message = f"{solved:.0%} of the prompts are always solved: they teach nothing more"
            return [Alert("spread", task, message, solved, self.config.solved, flat, kind="solved")]
        # Solved ones alone are judged by ``solved``; beside stuck ones, which no training will solve, they count.
        if stuck and stuck + solved >= self.config.stuck:
            message = (
                f"{stuck + solved:.0%} of the prompts teach nothing: {solved:.0%} are always solved, "
                f"{stuck:.0%} earn one reward whatever is said"
            )
            return [Alert("spread", task, message, stuck + solved, self.config.stuck, flat, kind="both")]
        return []

    def state_dict(self) -> dict[str, Any]:
        """What became of each task's last groups."""
        return {"stuck": self._stuck.values, "solved": self._solved.values}
