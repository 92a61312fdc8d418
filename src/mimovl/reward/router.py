"""Send each rollout to its grader by task, and give the reward in [0, 1] (MiMo-VL §3.1, §3.3).

| gold             | reward                                                     |
|------------------|------------------------------------------------------------|
| box              | GIoU mapped to (GIoU + 1) / 2; the mapping is ours          |
| span             | one-dimensional IoU                                        |
| text, task "ocr" | 1 − edit distance / longer length                          |
| all others       | 1 when right, else 0 (point: inside the gold box)          |

No format reward and no length reward (§3.3). A completion cut by the token limit earns 0, whatever it said before: the
paper has no such rule to give because its answers stand in a box at the end, ours keeps a policy from never ending.
To add a reward, write a function ``(sample, text) -> Verdict`` and pass it under its task's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mimovl.errors import DataError
from mimovl.types import Completion, Gold, Outcome, Sample, Verdict
from mimovl.verify import KINDS, grade

__all__ = ["RewardFunction", "RewardRouter", "reward_options"]

RewardFunction = Callable[[Sample, str], Verdict]
"""A reward of one's own: (sample, what the model said, thought included) → Verdict with a score in [0, 1]."""

_KIND_OPTIONS: dict[str, dict[str, Any]] = {"box": {"metric": "giou"}, "span": {"metric": "iou"}}
_TASK_OPTIONS: dict[tuple[str, str], dict[str, Any]] = {("ocr", "text"): {"metric": "edit"}}


class RewardRouter:
    """Rewards rollouts of any task.

    Args:
        functions: rewards of one's own by task name; all other tasks go by ``gold.kind`` to ``mimovl.verify.grade``.
    """

    def __init__(self, functions: Mapping[str, RewardFunction] | None = None) -> None:
        self._functions = dict(functions or {})

    def score(self, sample: Sample, completion: Completion | str) -> Verdict:
        """Give the verdict whose ``score`` is the reward of one completion.

        Args:
            sample: the prompt's sample, with gold unless its task has a function of its own.
            completion: what the model said; of a bare text it is not known whether it was cut.

        Raises:
            DataError: the sample has no gold, an unknown kind, or an unreadable gold; names sample and field.
        """
        text, cut = completion, False
        if isinstance(completion, Completion):
            text, cut = completion.text, completion.finish_reason == "length"
        assert isinstance(text, str)
        function = self._functions.get(sample.task)
        verdict = function(sample, text) if function else _grade(sample, text)
        if cut:
            return Verdict(0.0, Outcome.TRUNCATED, verdict.answer, "cut by the token limit")
        if not 0.0 <= verdict.score <= 1.0:
            raise DataError(
                f"sample {sample.id!r}: the reward function of task {sample.task!r} gave {verdict.score}, "
                "not in [0, 1]; scale it"
            )
        return verdict


def reward_options(task: str, gold: Gold) -> dict[str, Any]:
    """The grader options under which a gold answer is rewarded: its own, with the metric of the table above."""
    return {**gold.options, **_KIND_OPTIONS.get(gold.kind, {}), **_TASK_OPTIONS.get((task, gold.kind), {})}


def _grade(sample: Sample, text: str) -> Verdict:
    gold = sample.gold
    if gold is None:
        raise DataError(
            f"sample {sample.id!r} of task {sample.task!r} has no gold, so no reward can be given; "
            "set its field gold or leave it out of reinforcement learning"
        )
    try:
        return grade(gold.kind, text, gold.answer, **reward_options(sample.task, gold))
    except DataError as error:
        if gold.kind not in KINDS:
            field = "gold.kind"
        else:
            field = "gold.options" if str(error).startswith("unknown") else "gold.answer"
        raise DataError(f"sample {sample.id!r} of task {sample.task!r}, field {field}: {error}") from error
