"""Answers in another script than the question's: the mixing of languages that rewards for the answer alone allow.

A script is no mixing where the question or the right answer has it (reading a Chinese sign, asked in English). Latin
letters alone are none either, for boxes, formulas and units are written in them; but where the question is in another
script (Chinese, Russian, Korean …), an answer of mostly Latin words, apart from those, is. So is an answer in Chinese
characters alone to a Japanese question, for no Japanese sentence does without kana. Symbols are none: π, α + β, µm.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from mimovl.rl.monitors.alert import Alert, Recent, Update, by_task, mean
from mimovl.rl.monitors.config import LanguageConfig
from mimovl.types import RolloutGroup

__all__ = ["LanguageMonitor", "mixes", "scripts"]

FEW = 3
"""Letters of a foreign script that may slip in."""
WORDY = 20
"""Latin letters outside boxes and formulas, beyond the right answer's, from which on an answer is in English."""
HAN_ALONE = 12
"""Chinese characters without any kana from which on an answer is not in Japanese."""
LEAST_ANSWERS = 16
"""Answers of a task below which nothing is said."""

_FORMAL = re.compile(r"</?think>|\\[A-Za-z]+|\"[^\"\n]{0,80}\"|[{\[][^{}\[\]]{0,400}[}\]]")
_GREEK = "\u00b5\u0370-\u03ff\u1f00-\u1fff\u2126\U0001d6a8-\U0001d7cb"
_SYMBOL = re.compile(f"(?<![{_GREEK}])[{_GREEK}]{{1,2}}(?![{_GREEK}])")
"""One or two Greek letters by themselves: an angle, a constant, a unit, and not a word."""


def scripts(text: str) -> Counter[str]:
    """Letters of each script: latin, han, kana, cyrillic and so on."""
    if text.isascii():
        return Counter(latin=sum(map(str.isalpha, text)))
    found: Counter[str] = Counter()
    for character in _SYMBOL.sub(" ", text):
        if character.isalpha():
            found[_script(character)] += 1
    return found


@lru_cache(maxsize=8192)
def _script(character: str) -> str:
    # Full and half width, mathematical italics and the like are forms of a letter, which NFKC gives.
    plain = unicodedata.normalize("NFKC", character).strip()[:1] or character
    name = unicodedata.name(plain, "other").partition(" ")[0].lower()
    return _SCRIPTS.get(name, name)


_SCRIPTS = {
    **{"cjk": "han", "ideographic": "han"},
    **{"hiragana": "kana", "katakana": "kana", "katakana-hiragana": "kana"},
}
"""First word of a letter's Unicode name → its script, where they differ."""


def mixes(question: str, gold: str, answer: str) -> bool:
    """Whether an answer is, in part, in a script that neither its question nor the right answer has."""
    asked = scripts(question)
    foreign = 2 * asked["latin"] < asked.total()
    if answer.isascii() and not foreign:
        return False  # by far the most
    right = scripts(gold)
    allowed = {script for script, count in (asked + right).items() if count} | {"latin"}
    said = scripts(answer)
    if sum(count for script, count in said.items() if script not in allowed) > FEW:
        return True
    if not foreign:
        return False
    japanese = asked["kana"] and asked["kana"] >= asked["han"]
    if japanese and not said["kana"] and said["han"] - right["han"] >= HAN_ALONE:
        return True
    plain = scripts(_FORMAL.sub(" ", answer))
    return plain["latin"] - right["latin"] > WORDY and 2 * plain["latin"] > plain.total()


class LanguageMonitor:
    """See :class:`LanguageConfig`.

    Args:
        config: threshold.
        window: updates that are taken together.
        state: of an earlier one.
    """

    def __init__(self, config: LanguageConfig, window: int, state: Mapping[str, Any] | None = None) -> None:
        self.config = config
        self._seen = Recent(window, (state or {}).get("seen"))

    def look(self, update: Update) -> list[Alert]:
        """Alerts of the tasks whose answers are in other scripts than their questions."""
        alerts = []
        for task, groups, rollouts in by_task(update.groups):
            mixed = [(sum(self._mixed(group)), group) for group in groups]
            total = sum(count for count, _ in mixed)
            seen = self._seen.add(task, [total, len(rollouts)])
            answers = sum(count for _, count in seen)
            share = mean([total for total, _ in seen]) / max(1e-9, mean([count for _, count in seen]))
            if answers >= LEAST_ANSWERS and share >= self.config.share:
                examples = tuple(group for _, group in sorted(mixed, key=lambda pair: -pair[0]))
                message = f"{share:.0%} of the answers are in another script than their questions"
                alerts.append(Alert("language", task, message, share, self.config.share, examples))
        return alerts

    @staticmethod
    def _mixed(group: RolloutGroup) -> list[bool]:
        sample = group.request.sample
        question = " ".join(message.text for message in sample.messages if message.role == "user")
        gold = str(sample.gold.answer) if sample.gold else ""
        return [mixes(question, gold, rollout.completion.text) for rollout in group.rollouts]

    def state_dict(self) -> dict[str, Any]:
        """Mixed answers and all answers of the last updates."""
        return {"seen": self._seen.values}
