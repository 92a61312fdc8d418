"""Send each rollout to its grader or reward model by task, and give the reward in [0, 1] (MiMo-VL §3.1–3.3).

| task                              | reward                                                |
|-----------------------------------|-------------------------------------------------------|
| one with a function of its own    | what the function says                                |
| one with a reward model           | the model's score, already in [0, 1]                  |
| others, gold box                  | GIoU mapped to (GIoU + 1) / 2; the mapping is ours    |
| others, gold span                 | one-dimensional IoU                                   |
| "ocr", gold text                  | 1 − edit distance / longer length                     |
| others                            | 1 when right, else 0 (point: inside the gold box)     |

No format reward and no length reward (§3.3). A completion cut by the token limit earns 0, whatever it said before: the
paper has no such rule to give because its answers stand in a box at the end, ours keeps a policy from never ending.
To add a reward, write a function ``(sample, text) -> Verdict`` and pass it under its task's name.

One object, in this process by default; ``mimovl reward serve`` is the same object over HTTP, and
``mimovl.reward.client.RemoteRewards`` has its interface. ``start`` does what rules and functions can decide, ``finish``
asks the reward models and Math-Verify about what they left open, many at once: the service runs the first half in
processes that may die.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from mimovl.errors import DataError
from mimovl.types import Completion, Gold, Outcome, Sample, Verdict
from mimovl.verify import KINDS, grade
from mimovl.verify.answer import split_thought
from mimovl.verify.dispatch import check_options
from mimovl.verify.judge import Judge
from mimovl.verify.math import Pending, finish_math, start_math
from mimovl.verify.math_pool import shared_pool

__all__ = ["MICRO_BATCH", "Open", "RewardFunction", "RewardModel", "RewardRouter", "Rewards", "reward_options"]

RewardFunction = Callable[[Sample, str], Verdict]
"""A reward of one's own: (sample, what the model said, thought included) → Verdict with a score in [0, 1]."""

MICRO_BATCH = 16
"""Conversations a reward model is handed at once."""

_KIND_OPTIONS: dict[str, dict[str, Any]] = {"box": {"metric": "giou"}, "span": {"metric": "iou"}}
_TASK_OPTIONS: dict[tuple[str, str], dict[str, Any]] = {("ocr", "text"): {"metric": "edit"}}


class RewardModel(Protocol):
    """A learned reward, e.g. a Bradley–Terry model with its fitted map to [0, 1] (§3.2)."""

    def score(self, samples: Sequence[Sample], completions: Sequence[str]) -> list[float]:
        """Scores in [0, 1], one for each sample and what the policy said to it; 0.5 is an average answer."""
        ...


class Rewards(Protocol):
    """Anything that rewards: the router in this process, or a service over HTTP."""

    def score(self, sample: Sample, completion: Completion | str) -> Verdict:
        """The verdict whose ``score`` is the reward of one completion."""
        ...

    def score_many(self, samples: Sequence[Sample], completions: Sequence[Completion | str]) -> list[Verdict]:
        """One verdict for each sample and completion, in order."""
        ...


class Open(NamedTuple):
    """What rules and functions leave open: a question to Math-Verify, or else one to the task's reward model."""

    pending: Pending | None = None
    judge: Judge | None = None
    question: str = ""


class RewardRouter:
    """Rewards rollouts of any task.

    Args:
        functions: rewards of one's own by task name.
        models: reward models by task name; tasks of neither go by ``gold.kind`` to ``mimovl.verify.grade``.
        micro_batch: conversations a reward model is handed at once.

    Raises:
        DataError: a task has both a function and a model.
    """

    def __init__(
        self,
        functions: Mapping[str, RewardFunction] | None = None,
        models: Mapping[str, RewardModel] | None = None,
        *,
        micro_batch: int = MICRO_BATCH,
    ) -> None:
        self.functions = dict(functions or {})
        self.models = dict(models or {})
        self.micro_batch = micro_batch
        if both := sorted(self.functions.keys() & self.models.keys()):
            raise DataError(f"task {both[0]!r} has a reward function and a reward model; keep one of them")

    def score(self, sample: Sample, completion: Completion | str) -> Verdict:
        """Give the verdict whose ``score`` is the reward of one completion.

        Args:
            sample: the prompt's sample, with gold unless its task has a function or a model of its own.
            completion: what the model said; of a bare text it is not known whether it was cut.

        Raises:
            DataError: the sample has no gold, an unknown kind, or an unreadable gold; names sample and field.
        """
        return self.score_many([sample], [completion])[0]

    def score_many(self, samples: Sequence[Sample], completions: Sequence[Completion | str]) -> list[Verdict]:
        """Give the verdicts of many completions, in order: as ``score`` does, what takes longer asked all at once.

        Raises:
            DataError: as ``score``; or a reward model gave too few scores or one outside [0, 1].
        """
        started = [self.start(*pair) for pair in zip(samples, completions, strict=True)]
        return self.finish(samples, [_text(completion) for completion in completions], started)

    def start(self, sample: Sample, completion: Completion | str) -> Verdict | Open:
        """Decide by rule or function, or say what is left to ask.

        Raises:
            DataError: as ``score``.
        """
        text = _text(completion)
        cut = isinstance(completion, Completion) and completion.finish_reason == "length"
        if function := self.functions.get(sample.task):
            started: Verdict | Open = _checked(function(sample, text), f"function of task {sample.task!r}", sample)
        elif sample.task in self.models:
            started = Open()
        else:
            started = _grade(sample, text)
        if not cut:
            return started
        answer = started.answer if isinstance(started, Verdict) else started.pending.given if started.pending else ""
        return Verdict(0.0, Outcome.TRUNCATED, answer, "cut by the token limit")

    def finish(
        self, samples: Sequence[Sample], texts: Sequence[str], started: Sequence[Verdict | Open]
    ) -> list[Verdict]:
        """Ask the reward models, micro-batch by micro-batch, and Math-Verify about all that ``start`` left open.

        Raises:
            DataError: a reward model gave too few scores or one outside [0, 1].
        """
        verdicts: dict[int, Verdict] = {n: one for n, one in enumerate(started) if isinstance(one, Verdict)}
        left = [(n, one) for n, one in enumerate(started) if isinstance(one, Open)]
        verdicts |= finish_questions([(n, one) for n, one in left if one.pending])
        by_task: dict[str, list[int]] = {}
        for n, one in left:
            if one.pending is None:
                by_task.setdefault(samples[n].task, []).append(n)
        for task, places in by_task.items():
            for first in range(0, len(places), self.micro_batch):
                batch = places[first : first + self.micro_batch]
                asked, said = [samples[n] for n in batch], [texts[n] for n in batch]
                verdicts |= zip(batch, ask_model(self.models[task], task, asked, said), strict=True)
        return [verdicts[n] for n in range(len(started))]


def finish_questions(questions: Sequence[tuple[int, Open]]) -> dict[int, Verdict]:
    """Ask Math-Verify all open questions at once, in its own processes: place → verdict."""
    pendings = [(n, one, one.pending) for n, one in questions if one.pending]
    asked = [(n, pending) for n, _, pending in pendings if not pending.reason]
    comparisons = shared_pool().compare_many([(pending.gold, pending.given) for _, pending in asked])
    known = {n: comparison for (n, _), comparison in zip(asked, comparisons, strict=True)}
    return {
        n: finish_math(pending, known.get(n), judge=one.judge, question=one.question) for n, one, pending in pendings
    }


def ask_model(model: RewardModel, task: str, samples: Sequence[Sample], texts: Sequence[str]) -> list[Verdict]:
    """Verdicts of a reward model. CORRECT means no more than a score of at least 0.5, an average answer's.

    Raises:
        DataError: it gave too few scores or one outside [0, 1].
    """
    scores = model.score(samples, texts)
    if len(scores) != len(samples):
        raise DataError(f"the reward model of task {task!r} gave {len(scores)} scores for {len(samples)} completions")
    return [
        _checked(
            Verdict(float(score), Outcome.CORRECT if score >= 0.5 else Outcome.WRONG, rule="reward model"),
            f"model of task {task!r}",
            sample,
        )
        for sample, score in zip(samples, scores, strict=True)
    ]


def reward_options(task: str, gold: Gold) -> dict[str, Any]:
    """The grader options under which a gold answer is rewarded: its own, with the metric of the table above."""
    return {**gold.options, **_KIND_OPTIONS.get(gold.kind, {}), **_TASK_OPTIONS.get((task, gold.kind), {})}


def _text(completion: Completion | str) -> str:
    return completion.text if isinstance(completion, Completion) else completion


def _checked(verdict: Verdict, whose: str, sample: Sample) -> Verdict:
    if not 0.0 <= verdict.score <= 1.0:  # NaN too
        raise DataError(f"sample {sample.id!r}: the reward {whose} gave {verdict.score}, not in [0, 1]; scale it")
    return verdict


def _grade(sample: Sample, text: str) -> Verdict | Open:
    gold = sample.gold
    if gold is None:
        raise DataError(
            f"sample {sample.id!r} of task {sample.task!r} has no gold, so no reward can be given; "
            "set its field gold or leave it out of reinforcement learning"
        )
    try:
        return _start(gold.kind, text, gold.answer, reward_options(sample.task, gold))
    except DataError as error:
        if gold.kind not in KINDS:
            field = "gold.kind"
        else:
            field = "gold.options" if str(error).startswith("unknown") else "gold.answer"
        raise DataError(f"sample {sample.id!r} of task {sample.task!r}, field {field}: {error}") from error


def _start(kind: str, text: str, answer: Any, options: dict[str, Any]) -> Verdict | Open:
    """``mimovl.verify.grade``, but of mathematics only what needs no other process."""
    said = split_thought(text) if kind == "math" else None
    if said is None:
        return grade(kind, text, answer, **options)
    check_options(kind, "strict", options)
    judge, question = options.pop("judge", None), str(options.pop("question", ""))
    started = start_math(said, answer, **options)
    return started if isinstance(started, Verdict) else Open(started, judge, question)
