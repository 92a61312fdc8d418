"""An evaluation task: which samples it takes, how they are asked, how an answer becomes a score.

A task is data. To add one, make a ``Task``; where the graders of ``mimovl.verify`` fall short, give it a ``verdict``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mimovl.evaluate.extras import Extra
from mimovl.types import Completion, Gold, Outcome, Sample, Verdict
from mimovl.verify import grade

__all__ = ["MODES", "Mode", "Task"]

Mode = Literal["no_think", "thinking"]
MODES: tuple[Mode, ...] = ("no_think", "thinking")

Decide = Callable[[Sample, str], Verdict]

_DEFAULT_MAX_TOKENS: Mapping[Mode, int] = {"no_think": 256, "thinking": 512}


@dataclass(frozen=True)
class Task:
    """One row of the score table."""

    name: str
    """The ``Sample.task`` it takes, and its name in the report."""
    metric: str
    """What the score is, in words: accuracy, Acc@0.5, mean IoU, 1 - edit distance."""
    headline: Mode = "no_think"
    """The mode whose score stands for the task."""
    binary: bool = True
    """Whether every score is 0 or 1, so that the interval is Wilson's."""
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Grader options by gold kind, laid over those of the gold, e.g. {"box": {"metric": "accuracy"}}."""
    sources: tuple[str, ...] = ()
    """The sources or source folders it takes; empty for any."""
    kinds: tuple[str, ...] = ()
    """The gold kinds it takes; empty for any."""
    max_tokens: Mapping[Mode, int] = field(default_factory=lambda: dict(_DEFAULT_MAX_TOKENS))
    """The longest answer in each mode; never shortened behind your back."""
    extras: tuple[Extra, ...] = ()
    """Further measures that stand beside the score."""
    verdict: Decide | None = None
    """How an answer is judged; None for ``mimovl.verify.grade`` by the sample's gold."""

    def takes(self, sample: Sample) -> bool:
        """Whether a sample belongs to this task."""
        return (
            sample.task == self.name
            and (sample.gold is not None or self.verdict is not None)
            and (not self.sources or any(_inside(sample.source, source) for source in self.sources))
            and (not self.kinds or (sample.gold is not None and sample.gold.kind in self.kinds))
        )

    def judge(self, sample: Sample, completion: Completion) -> Verdict:
        """Give the verdict whose ``score`` counts for this task.

        Where nothing could be read because the token limit cut the answer, the outcome is TRUNCATED.

        Raises:
            DataError: the sample's gold cannot be graded.
        """
        if self.verdict is not None:
            verdict = self.verdict(sample, completion.text)
        else:
            assert sample.gold is not None
            verdict = grade(sample.gold.kind, completion.text, sample.gold.answer, **self.options_for(sample.gold))
        if verdict.outcome is Outcome.NO_ANSWER and completion.finish_reason == "length":
            return Verdict(0.0, Outcome.TRUNCATED, verdict.answer, "cut by the token limit")
        return verdict

    def options_for(self, gold: Gold) -> dict[str, Any]:
        """The grader options for a gold answer."""
        return {**gold.options, **self.options.get(gold.kind, {})}


def _inside(source: str, folder: str) -> bool:
    return source == folder or source.startswith(folder.rstrip("/") + "/")
