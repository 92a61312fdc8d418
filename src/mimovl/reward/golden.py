r"""The golden self-test: every sample's own gold answer, written as a model should write it, must earn reward 1.

Run before reinforcement learning starts: a reward that its own gold answer cannot reach stays 0 and teaches nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from mimovl.errors import DataError
from mimovl.reward.router import RewardRouter, Rewards
from mimovl.types import Gold, Sample
from mimovl.verify.action import gold_action
from mimovl.verify.box import gold_boxes
from mimovl.verify.count import gold_count
from mimovl.verify.form import gold_forms
from mimovl.verify.json_value import gold_json
from mimovl.verify.length import gold_budget
from mimovl.verify.repetition import gold_limit
from mimovl.verify.span import gold_span
from mimovl.verify.text import gold_texts

__all__ = ["check_golden", "golden_answer"]

FULL_REWARD = 1.0 - 1e-9
CHUNK = 256
"""Answers checked at once: a reward service is asked one request, not so many."""


def golden_answer(gold: Gold) -> str:
    r"""Write a gold answer in the canonical form of its kind.

    box ``[{"bbox_2d":[x1,y1,x2,y2]}]`` · point ``{"action":"click","start_point":[x,y]}``, the centre of the (first)
    box · span ``[mm:ss,mm:ss]`` · number and math ``\boxed{…}`` · action and json as JSON, an action on the centre of
    its target · format, repetition and length: a text that meets them · choice, count and text as they are.

    Raises:
        DataError: the gold is not of its kind.
    """
    if gold.kind == "box":
        return "[" + ",".join(f'{{"bbox_2d":[{_numbers(box)}]}}' for box in gold_boxes(gold.answer)) + "]"
    if gold.kind == "point":
        x1, y1, x2, y2 = gold_boxes(gold.answer)[0]
        return f'{{"action":"click","start_point":[{_numbers(((x1 + x2) / 2, (y1 + y2) / 2))}]}}'
    if gold.kind == "span":
        start, end = gold_span(gold.answer)
        return f"[{_clock(start)},{_clock(end)}]"
    if gold.kind in ("number", "math"):
        return rf"\boxed{{{gold.answer}}}"
    if gold.kind == "count":
        return str(gold_count(gold.answer))
    if gold.kind == "text":
        return gold_texts(gold.answer)[0]
    if gold.kind == "action":
        return _action(gold_action(gold.answer))
    if gold.kind == "json":
        return json.dumps(gold_json(gold.answer), ensure_ascii=False)
    if gold.kind == "format":
        return _with_forms(gold_forms(gold.answer))
    if gold.kind == "repetition":
        gold_limit(gold.answer)
        return "Done."
    if gold.kind == "length":
        least = gold_budget(gold.answer).low
        return " ".join("x" * least) if gold.options.get("unit") == "words" else "x" * least
    return str(gold.answer)


def _action(action: dict[str, Any]) -> str:
    target = action.pop("bbox", None)
    if target is not None:
        x1, y1, x2, y2 = gold_boxes(target)[0]
        action["start_point"] = [(x1 + x2) / 2, (y1 + y2) / 2]
    return json.dumps(action, ensure_ascii=False)


_EXAMPLES = {
    "json": '{"a":1}',
    "boxes": '[{"bbox_2d":[1,2,3,4]}]',
    "action": '{"action":"wait"}',
    "span": "[00:01,00:02]",
    "yes_no": "yes",
    "letter": "A",
}


def _with_forms(names: list[str]) -> str:
    """A text that has all the forms, if one can have them all."""
    answer = next((_EXAMPLES[name] for name in names if name in _EXAMPLES), "1")
    answer = rf"\boxed{{{answer}}}" if "boxed" in names else answer
    return f"<think>1</think>{answer}" if "thought" in names else answer


def check_golden(samples: Iterable[Sample], router: Rewards | None = None) -> int:
    """Check that every sample's gold answer earns reward 1.

    Args:
        samples: samples with gold.
        router: the rewards to check; the default ones if None.

    Returns:
        How many samples were checked.

    Raises:
        DataError: a gold answer earns less; names the sample, the answer, the reward and the rule that decided.
    """
    router = router or RewardRouter()
    count = 0
    waiting: list[tuple[Sample, str]] = []
    without: set[str] = set()
    for sample in samples:
        if sample.gold is None:
            if sample.task not in without:
                router.score(sample, "")  # raises, naming the sample, unless its task's own reward needs no gold
                without.add(sample.task)
            continue
        try:
            answer = golden_answer(sample.gold)
        except DataError as error:
            raise DataError(f"sample {sample.id!r} of task {sample.task!r}, field gold.answer: {error}") from error
        waiting.append((sample, answer))
        if len(waiting) == CHUNK:
            count += _check(waiting, router)
            waiting = []
    return count + _check(waiting, router)


def _check(answers: list[tuple[Sample, str]], router: Rewards) -> int:
    verdicts = router.score_many([sample for sample, _ in answers], [answer for _, answer in answers])
    for (sample, answer), verdict in zip(answers, verdicts, strict=True):
        if verdict.score < FULL_REWARD:
            raise DataError(
                f"sample {sample.id!r} of task {sample.task!r}, field gold.answer: its own gold answer {answer[:80]!r} "
                f"earns {verdict.score:.3f} instead of 1 ({verdict.outcome}, {verdict.rule}); mend it or its options"
            )
    return len(answers)


def _numbers(values: Iterable[float]) -> str:
    return ",".join(str(int(value)) if value == int(value) else repr(value) for value in values)


def _clock(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    fraction = f".{rest % 1000:03d}".rstrip("0") if rest % 1000 else ""
    return f"{minutes:02d}:{rest // 1000:02d}{fraction}"
