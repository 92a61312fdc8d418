"""Two figures of the update itself: the policy's entropy, and how far sampling and training disagree."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mimovl.rl.monitors.alert import Alert, Update, mean
from mimovl.rl.monitors.config import EntropyConfig, GapConfig

__all__ = ["GAP_LIMITS", "EntropyMonitor", "GapMonitor"]

GAP_LIMITS = {"float32": 1e-5, "float64": 1e-5, "bfloat16": 5e-3, "float16": 5e-3}
"""Largest mean |sampling − training log-probability| by the model's type of numbers."""
ALL_TASKS = ""


class EntropyMonitor:
    """See :class:`EntropyConfig`: a policy that always says the same learns nothing from its own samples.

    Args:
        config: thresholds.
        window: updates at the start and at the end that are compared.
        state: of an earlier one.
    """

    def __init__(self, config: EntropyConfig, window: int, state: Mapping[str, Any] | None = None) -> None:
        state = state or {}
        self.config = config
        self.window = window
        self._first: list[float] = list(filter(math.isfinite, state.get("first", [])))
        self._last: list[float] = list(filter(math.isfinite, state.get("last", [])))

    def look(self, update: Update) -> list[Alert]:
        """An alert where too little of the first updates' entropy is left, or next to none."""
        entropy = update.figures.get("entropy")
        if entropy is None or not math.isfinite(entropy):  # one such number would make every later mean one
            return []
        if len(self._first) < self.window:
            self._first.append(entropy)
        self._last = [*self._last, entropy][-self.window :]
        if len(self._last) < self.window:
            return []
        before, now = mean(self._first), mean(self._last)
        limit = max(self.config.floor, self.config.share * before)
        if now > limit:
            return []
        message = f"the entropy was {before:.3g} nats a token at first and is {now:.3g} now: the policy has collapsed"
        return [Alert("entropy", ALL_TASKS, message, now, limit, tuple(update.groups))]

    def state_dict(self) -> dict[str, Any]:
        """Entropies of the first and last updates."""
        return {"first": self._first, "last": self._last}


class GapMonitor:
    """See :class:`GapConfig`: a gap means that the update is not on-policy, whatever the algorithm says.

    Args:
        config: threshold.
        dtype: of the model's numbers, e.g. float32.
    """

    def __init__(self, config: GapConfig, dtype: str) -> None:
        self.limit = config.limit or GAP_LIMITS.get(dtype, 5e-3)

    def look(self, update: Update) -> list[Alert]:
        """An alert where this update's gap is over the limit."""
        gap = update.figures.get("logprob_gap", 0.0)
        if gap <= self.limit:  # NaN is over it
            return []
        message = f"log-probabilities of sampling and training differ by {gap:.2g} on average, over {self.limit:.2g}"
        return [Alert("gap", ALL_TASKS, message, gap, self.limit)]

    def state_dict(self) -> dict[str, Any]:
        """Nothing is remembered."""
        return {}
