"""The answer that needs no picture: for each question the median of the training answers to it.

What a model must beat before its score means that it looked. Asked like any model, so ``compare_answers`` gives the
paired difference.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from mimovl.errors import UsageError
from mimovl.reward import golden_answer
from mimovl.types import Completion, Gold, Request, Sample
from mimovl.verify.box import Box, gold_boxes
from mimovl.verify.count import gold_count

__all__ = ["MedianBaseline"]

BASELINE_KINDS = ("count", "box")


class MedianBaseline:
    """A ``Generate`` that always answers the training median.

    The median is taken over training samples with the same question ("How many red cells are there?"), or over all of
    the kind for a question training never asked. For boxes it is the one box of median corners.

    Args:
        samples: training samples with gold; kinds other than count and box are left out.

    Raises:
        UsageError: there is no count and no box among them.
    """

    def __init__(self, samples: Iterable[Sample]) -> None:
        golds: dict[tuple[str, str], list[Gold]] = {}
        for sample in samples:
            if sample.gold is not None and sample.gold.kind in BASELINE_KINDS:
                for question in (_question(sample), ""):
                    golds.setdefault((sample.gold.kind, question), []).append(sample.gold)
        if not golds:
            raise UsageError("no training sample has a count or box as gold; a median needs some")
        self._answers = {key: golden_answer(_median(key[0], group)) for key, group in golds.items()}

    def generate(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """The same answer to every picture; an empty one for kinds that have no median."""
        return [[Completion(self._answer(request.sample), "stop")] * request.num_samples for request in requests]

    def _answer(self, sample: Sample) -> str:
        kind = sample.gold.kind if sample.gold else ""
        return self._answers.get((kind, _question(sample))) or self._answers.get((kind, "")) or ""


def _question(sample: Sample) -> str:
    text = next((message.text for message in reversed(sample.messages) if message.role == "user"), "")
    return text.removesuffix("/no_think").strip()


def _median(kind: str, golds: list[Gold]) -> Gold:
    if kind == "count":
        return Gold("count", statistics.median_low([gold_count(gold.answer) for gold in golds]))
    boxes: list[Box] = [box for gold in golds for box in gold_boxes(gold.answer)]
    return Gold("box", [statistics.median(side) for side in zip(*boxes, strict=True)])
