"""Counting for its own sake: answers about pictures that say 1, 2, 3, … to the same end whatever is shown, or for ever.

Listing objects one by one is a good thought: "1 top, 2 right, 3 centre" for three objects. It has become a habit when
most answers of a task list up to the same number although the right answers differ, or when they list far too many
or begin again and again. Coordinates in brackets count nothing, and the numbers of steps ("1. Look. 2. Compare.") do
not say how much is seen, unless the answer is the last of them.
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

__all__ = ["CountingMonitor", "count_of", "counts_in"]

_NUMBER = re.compile(r"(?<![\d.])\d{1,4}(?![\d.]*\d)")
_BRACKETS = re.compile(r"[(\[{](?!\d{1,4}[)\]}])[^()\[\]{}]*[)\]}]")
"""Innermost ones, but for those around a number alone: (1) may count, and {3} be an answer."""
_STEP = re.compile(r"(?:^|[\n.!?:;>])\s{0,9}\d{1,3}[.):]\s{1,9}(?=[^\W\d]|\*)|\bstep\s{1,9}\d{1,3}\b", re.IGNORECASE)
"""The number of a step: at the start of a line or sentence, before words."""
LEAST_ANSWERS = 16
"""Answers of a task below which nothing is said."""
DIFFERENT = 3
"""Right answers that must differ: three prompts of one answer may well have one count."""
SHORT = 3
"""A count up to here may well be made a few times in one good thought: of the red ones, of the blue ones."""


def counts_in(text: str) -> list[int]:
    """How far a text counts, each time that it begins with 1, 2 among its whole numbers outside brackets."""
    text = _BRACKETS.sub(" ", text)
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


def count_of(text: str) -> int:
    """How far a text counts what it sees; 0 where it does not, or numbers its steps only."""
    whole, plain = max(counts_in(text), default=0), _STEP.sub(" ", text)
    said = _NUMBER.findall(plain)
    if plain == text or (said and int(said[-1]) == whole):
        return whole  # 1. left 2. right → 2
    return max(counts_in(plain), default=0)


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
                texts = [rollout.completion.text for rollout in group.rollouts]
                counts = [counts_in(text) for text in texts]
                endless = sum(self._endless(one) for one in counts)
                tally["endless"] += endless
                # Most texts do not count, and their steps need no look.
                far = [
                    text for text, one in zip(texts, counts, strict=True) if max(one, default=0) >= self.config.least
                ]
                ends = [end for text in far if (end := count_of(text)) >= self.config.least]
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
        if not counts:
            return False
        far = sum(end > max(SHORT, self.config.least - 1) for end in counts)
        short = sum(end >= SHORT for end in counts)
        return max(counts) > self.config.longest or far >= self.config.repeats or short >= 2 * self.config.repeats

    def _judge(self, task: str, seen: list[dict[str, Any]], examples: tuple[RolloutGroup, ...]) -> list[Alert]:
        answers = sum(one["answers"] for one in seen)
        if answers < LEAST_ANSWERS:
            return []
        alerts = []
        if (endless := sum(one["endless"] for one in seen) / answers) >= self.config.endless:
            message = f"{endless:.0%} of the answers count 1, 2, 3, … without end or again and again"
            alerts.append(Alert("counting", task, message, endless, self.config.endless, examples, kind="endless"))
        ends: Counter[str] = Counter()
        for one in seen:
            ends.update(one["ends"])
        golds = {gold for one in seen for gold in one["golds"]}
        counting = sum(ends.values())
        if counting >= self.config.share * answers and len(golds) >= DIFFERENT:
            end, most = ends.most_common(1)[0]
            if most >= self.config.same * counting:
                message = f"{most / counting:.0%} of the answers that count end at {end}, whatever the picture shows"
                share = most / counting
                alerts.append(Alert("counting", task, message, share, self.config.same, examples, kind="same"))
        return alerts

    def state_dict(self) -> dict[str, Any]:
        """Tallies of the last updates."""
        return {"seen": self._seen.values}
