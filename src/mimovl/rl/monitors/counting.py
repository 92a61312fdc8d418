"""Counting for its own sake: answers about pictures that say 1, 2, 3, … to the same end whatever is shown, or for ever.

Listing objects one by one is a good thought: "1 top, 2 right, 3 centre" for three objects. It has become a habit when
most answers of a task list up to the same number although the right answers differ, or when they list far too many
or begin again and again.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from mimovl.rl.monitors.alert import Alert, Recent, Update, by_task
from mimovl.rl.monitors.config import CountingConfig
from mimovl.types import RolloutGroup

__all__ = ["CountingMonitor", "counts_in"]

_NUMBER = re.compile(r"(?<![\d.])\d{1,4}(?![\d.]*\d)")
LEAST_ANSWERS = 16
"""Answers of a task below which nothing is said."""
DIFFERENT = 3
"""Right answers that must differ: three prompts of one answer may well have one count."""


def counts_in(text: str) -> list[int]:
    """How far a text counts, each time that it begins with 1, 2 among its whole numbers."""
    found: list[int] = []
    expected = 0
    for match in _NUMBER.finditer(text):
        number = int(match[0])
        if number == 1:
            found.append(1)
            expected = 2
        elif found and number == expected:
            found[-1] = number
            expected += 1
        else:
            expected = -1
    return [end for end in found if end > 1]


class CountingMonitor:
    """See :class:`CountingConfig`.

    Args:
        config: thresholds.
        window: updates that are taken together.
        state: of an earlier one.
    """

    def __init__(self, config: CountingConfig, window: int, state: Mapping[str, Any] | None = None) -> None:
        self.config = config
        self._seen = Recent(window, (state or {}).get("seen"))

    def look(self, update: Update) -> list[Alert]:
        """Alerts of the tasks whose answers count whatever the picture."""
        alerts = []
        for task, groups, _ in by_task([group for group in update.groups if group.request.sample.media]):
            tally: dict[str, Any] = {"answers": 0, "endless": 0, "ends": Counter(), "golds": []}
            telling: list[tuple[int, RolloutGroup]] = []
            for group in groups:
                tally["answers"] += len(group.rollouts)
                counts = [counts_in(rollout.completion.text) for rollout in group.rollouts]
                endless = sum(self._endless(one) for one in counts)
                tally["endless"] += endless
                ends = [max(one) for one in counts if one and max(one) >= self.config.least]
                tally["ends"].update(map(str, ends))
                if ends:
                    gold = group.request.sample.gold
                    tally["golds"] = sorted({*tally["golds"], json.dumps(gold and gold.answer, default=str)})
                telling.append((endless * 1000 + len(ends), group))
            seen = self._seen.add(task, {**tally, "ends": dict(tally["ends"])})
            examples = tuple(group for _, group in sorted(telling, key=lambda pair: -pair[0]))
            alerts += self._judge(task, seen, examples)
        return alerts

    def _endless(self, counts: list[int]) -> bool:
        again = sum(end >= self.config.least for end in counts)
        return bool(counts) and (max(counts) > self.config.longest or again >= self.config.repeats)

    def _judge(self, task: str, seen: list[dict[str, Any]], examples: tuple[RolloutGroup, ...]) -> list[Alert]:
        answers = sum(one["answers"] for one in seen)
        if answers < LEAST_ANSWERS:
            return []
        alerts = []
        if (endless := sum(one["endless"] for one in seen) / answers) >= self.config.endless:
            message = f"{endless:.0%} of the answers count 1, 2, 3, … without end or again and again"
            alerts.append(Alert("counting", task, message, endless, self.config.endless, examples))
        ends: Counter[str] = Counter()
        for one in seen:
            ends.update(one["ends"])
        golds = {gold for one in seen for gold in one["golds"]}
        counting = sum(ends.values())
        if counting >= self.config.share * answers and len(golds) >= DIFFERENT:
            end, most = ends.most_common(1)[0]
            if most >= self.config.same * counting:
                message = f"{most / counting:.0%} of the answers that count end at {end}, whatever the picture shows"
                alerts.append(Alert("counting", task, message, most / counting, self.config.same, examples))
        return alerts

    def state_dict(self) -> dict[str, Any]:
        """Tallies of the last updates."""
        return {"seen": self._seen.values}
