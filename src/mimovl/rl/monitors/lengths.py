"""Response lengths by task: running away, collapsing, or running against the token limit.

Compared are the last updates in which a task was asked with the first: each task has a length of its own, and in mixed
training reasoning pulls all of them up while grounding and counting pull them down (MiMo-VL §5).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mimovl.rl.monitors.alert import Alert, Recent, Update, by_task, mean
from mimovl.rl.monitors.config import LengthConfig
from mimovl.types import RolloutGroup

__all__ = ["LengthMonitor"]


class LengthMonitor:
    """See :class:`LengthConfig`.

    Args:
        config: thresholds.
        window: updates at the start and at the end that are compared.
        state: of an earlier one.
    """

    def __init__(self, config: LengthConfig, window: int, state: Mapping[str, Any] | None = None) -> None:
        state = state or {}
        self.config = config
        self.window = window
        self._first: dict[str, list[float]] = {task: list(found) for task, found in state.get("first", {}).items()}
        self._last = Recent(window, state.get("last"))
        self._cut = Recent(window, state.get("cut"))

    def look(self, update: Update) -> list[Alert]:
        """Alerts of the tasks whose lengths have changed too much."""
        alerts = []
        for task, groups, rollouts in by_task(update.groups):
            length = mean([len(rollout.completion.tokens) for rollout in rollouts])
            cut = mean([rollout.completion.finish_reason == "length" for rollout in rollouts])
            cuts = self._cut.add(task, cut)
            first = self._first.setdefault(task, [])
            if len(first) < self.window:
                first.append(length)
            else:
                alerts += self._changed(task, mean(first), self._last.add(task, length), groups)
            if self._cut.full(task) and mean(cuts) >= self.config.cut:
                message = f"{mean(cuts):.0%} of the answers are cut by the token limit"
                telling = _sorted(groups, longest=True)
                alerts.append(Alert("lengths", task, message, mean(cuts), self.config.cut, telling, kind="cut"))
        return alerts

    def _changed(self, task: str, before: float, last: list[float], groups: list[RolloutGroup]) -> list[Alert]:
        now = mean(last)
        if len(last) < self.window or abs(now - before) < self.config.least:
            return []
        told = f"answers took {before:.0f} tokens at first and take {now:.0f} now"
        if now >= self.config.longer * before:
            message = f"{told}: they run away"
            telling = _sorted(groups, longest=True)
            return [Alert("lengths", task, message, now, self.config.longer * before, telling, kind="longer")]
        if now <= self.config.shorter * before:
            message = f"{told}: they collapse"
            telling = _sorted(groups, longest=False)
            return [Alert("lengths", task, message, now, self.config.shorter * before, telling, kind="shorter")]
        return []

    def state_dict(self) -> dict[str, Any]:
        """Lengths of the first and last updates."""
        return {"first": self._first, "last": self._last.values, "cut": self._cut.values}


def _sorted(groups: list[RolloutGroup], *, longest: bool) -> tuple[RolloutGroup, ...]:
    def length(group: RolloutGroup) -> float:
        return mean([len(rollout.completion.tokens) for rollout in group.rollouts])

    return tuple(sorted(groups, key=length, reverse=longest))
