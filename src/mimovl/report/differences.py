"""Paired differences between two checkpoints, as ``mimovl.evaluate`` computes them."""

from __future__ import annotations

from dataclasses import dataclass

from mimovl.report.run_directory import Checkpoint

__all__ = ["Difference", "paired_differences"]


@dataclass(frozen=True)
class Difference:
    """After minus before over ``n`` questions that both answered, with its 95 % interval; all are shares in [−1, 1]."""

    mean: float
    low: float
    high: float
    before: float
    after: float
    n: int


def paired_differences(before: Checkpoint, after: Checkpoint, notes: list[str]) -> dict[str, Difference]:
    return {}
