"""Ask a model which of two answers is better, once in each order (MiMo-VL §3.2: pairwise ranking by an advanced VLM).

Judges prefer a place: a pair counts as decided only if the same answer is named in both orders, as in MT-Bench (Zheng
et al., 2023, §3.4). Everything else is kept and says what it is:

    win            the same answer both times
    tie            "neither" both times
    weak           one answer in one order, "neither" in the other
    disagreement   the first both times, or the second both times: the place decided

``weak`` and ``disagreement`` are ties that a reader can tell from others. A reply that names nothing is ``unread``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mimovl.types import Generate, Message, Part, Request, Sample, SamplingParams

__all__ = ["PROMPT", "Choice", "Ranking", "Verdicts", "rank_pairs", "ranking_of", "read_choice"]

Choice = Literal["A", "B", "tie", "unread"]
Verdicts = Literal["win", "tie", "weak", "disagreement", "unread"]

PROMPT = """\
Two assistants answered the question above. Judge which answer is better: right before wrong, what the picture shows \
before what it does not, then helpful and clear. Length and order do not count.

Answer A:
{first}

Answer B:
{second}

Reply with A, B or tie, and nothing else."""
"""What the ranker is asked after the conversation; ours, the report gives none."""

_WORDS: dict[str, Choice] = {
    **{word: "A" for word in ("a", "answer a", "assistant a", "答案a")},
    **{word: "B" for word in ("b", "answer b", "assistant b", "答案b")},
    **{word: "tie" for word in ("tie", "neither", "both", "equal", "平局", "一样")},
}
_STATED = re.compile(
    r"(?:better|winner|verdict|choice|choose|prefer|final answer)\s*(?:answer)?\s*(?:is|:)?\s*[*\[(]*\s*"
    r"(answer\s+[AB]|assistant\s+[AB]|[AB]|tie)\b",
    re.IGNORECASE,
)
"""A longer reply's plain statement, such as "The better answer is B" or "Verdict: [[A]]"."""


@dataclass(frozen=True)
class Ranking:
    """Both replies to a pair, and what they say together."""

    forward: Choice
    """With the first answer as A."""
    backward: Choice
    """With the second answer as A."""

    @property
    def verdict(self) -> Verdicts:
        """What the replies say together."""
        if "unread" in (self.forward, self.backward):
            return "unread"
        if self.forward == self.backward:
            return "tie" if self.forward == "tie" else "disagreement"
        return "weak" if "tie" in (self.forward, self.backward) else "win"

    @property
    def first_wins(self) -> bool:
        """Whether the first answer won; False of all that is no win."""
        return self.verdict == "win" and self.forward == "A"


def rank_pairs(
    ranker: Generate,
    pairs: Sequence[tuple[Sample, str, str]],
    *,
    sampling: SamplingParams | None = None,
    prompt: str = PROMPT,
) -> list[Ranking]:
    """Rank pairs of answers, each in both orders.

    Args:
        ranker: whatever answers.
        pairs: prompt, first answer, second answer.
        sampling: of the replies; greedy and short by default.
        prompt: with places {first} and {second}.
    """
    sampling = sampling or SamplingParams(max_tokens=16)
    requests = []
    for sample, first, second in pairs:
        for one, other in ((first, second), (second, first)):
            requests.append(Request(_asked(sample, one, other, prompt), sampling, thinking=False))
    replies = [read_choice(group[0].text) for group in ranker.generate(requests)]
    return [Ranking(*replies[2 * number : 2 * number + 2]) for number in range(len(pairs))]


def _asked(sample: Sample, first: str, second: str, prompt: str) -> Sample:
    """The conversation with the question to the ranker in its last turn, after the user's own words."""
    words = "\n\n" + prompt.replace("{first}", first).replace("{second}", second)
    *before, last = sample.messages
    asked = Message(last.role, (*last.content, Part("text", words)))
    return replace(sample, id=f"{sample.id}/rank", messages=(*before, asked), gold=None)


def read_choice(reply: str) -> Choice:
    """What a reply names: the whole of it, or else the last thing it states; ``unread`` if it is not plain."""
    answer = reply.rpartition("</think>")[2].strip()
    whole = answer.strip(" \t\n.。*[]()'\"`:").lower()
    if whole in _WORDS:
        return _WORDS[whole]
    stated = _STATED.findall(answer)
    return _WORDS[" ".join(stated[-1].lower().split())] if stated else "unread"


def ranking_of(forward: str, backward: str) -> Ranking:
    """A ranking from two stored choices."""
    known: dict[str, Choice] = {"A": "A", "B": "B", "tie": "tie", "unread": "unread"}
    return Ranking(known[forward], known[backward])
