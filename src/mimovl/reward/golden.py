r"""The golden self-test: every sample's own gold answer, written as a model should write it, must earn reward 1.

Run before reinforcement learning starts: a reward that its own gold answer cannot reach stays 0 and teaches nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from mimovl.errors import DataError
from mimovl.reward.router import RewardRouter
from mimovl.types import Gold, Sample
from mimovl.verify.box import gold_boxes
from mimovl.verify.count import gold_count
from mimovl.verify.span import gold_span
from mimovl.verify.text import gold_texts

__all__ = ["check_golden", "golden_answer"]

FULL_REWARD = 1.0 - 1e-9


def golden_answer(gold: Gold) -> str:
    r"""Write a gold answer in the canonical form of its kind.

    box ``[{"bbox_2d":[x1,y1,x2,y2]}]`` · point ``{"action":"click","start_point":[x,y]}``, the centre of the (first)
    box · span ``[mm:ss,mm:ss]`` · number and math ``\boxed{…}`` · choice, count and text as they are.

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
    return str(gold.answer)


def check_golden(samples: Iterable[Sample], router: RewardRouter | None = None) -> int:
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
    for sample in samples:
        if sample.gold is None:
            router.score(sample, "")  # raises, naming the sample, unless its task's own reward needs no gold
            continue
        try:
            answer = golden_answer(sample.gold)
        except DataError as error:
            raise DataError(f"sample {sample.id!r} of task {sample.task!r}, field gold.answer: {error}") from error
        verdict = router.score(sample, answer)
        if verdict.score < FULL_REWARD:
            raise DataError(
                f"sample {sample.id!r} of task {sample.task!r}: its own gold answer {answer[:80]!r} earns "
                f"{verdict.score:.3f} instead of 1 ({verdict.outcome}, {verdict.rule}); mend its field gold"
            )
        count += 1
    return count


def _numbers(values: Iterable[float]) -> str:
    return ",".join(str(int(value)) if value == int(value) else repr(value) for value in values)


def _clock(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    fraction = f".{rest % 1000:03d}".rstrip("0") if rest % 1000 else ""
    return f"{minutes:02d}:{rest // 1000:02d}{fraction}"
