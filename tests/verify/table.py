"""Tables of graded completions: a row is (completion, gold, expected score, expected outcome, why)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pytest

from mimovl.types import Outcome, Verdict
from mimovl.verify import grade

RIGHT, WRONG, UNREAD, CUT, UNGRADED = (
    Outcome.CORRECT,
    Outcome.WRONG,
    Outcome.NO_ANSWER,
    Outcome.TRUNCATED,
    Outcome.NOT_GRADED,
)


class Row(NamedTuple):
    completion: str
    gold: Any
    score: float
    outcome: Outcome
    why: str
    options: Mapping[str, Any] = {}


def rows(*table: tuple[Any, ...]) -> Iterable[Any]:
    """Parameters for ``pytest.mark.parametrize("row", …)``, named by their reason."""
    return [pytest.param(Row(*line), id=Row(*line).why) for line in table]


def check(kind: str, row: Row) -> Verdict:
    verdict = grade(kind, row.completion, row.gold, **row.options)
    assert verdict.outcome == row.outcome, (row.why, verdict)
    assert verdict.score == pytest.approx(row.score, abs=1e-6), (row.why, verdict)
    assert verdict.rule
    return verdict
