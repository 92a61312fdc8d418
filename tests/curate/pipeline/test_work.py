"""What becomes of a batch at a step, and results that are none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mimovl.curate.pipeline.events import Events
from mimovl.curate.pipeline.work import apply_step
from mimovl.curate.step import Dropped
from mimovl.errors import RecipeError, UsageError
from tests.curate.pipeline.parts import caption

A, B = caption("a", "x"), caption("b", "y")


def applied(function: Callable[[Any], Any], **settings: Any) -> tuple[list[str], Events]:
    events = Events()
    return [s.id for s in apply_step(function, [A, B], events, 0, "it", **settings)], events


def test_kept_changed_dropped_and_split_are_counted_and_written_down() -> None:
    ids, events = applied(lambda batch: [replace(A, task="new"), Dropped("why", "so")])
    assert ids == ["a"] and [row[:4] for row in events.rows] == [("a", 0, "changed", ""), ("b", 0, "dropped", "why")]
    ids, events = applied(lambda batch: [[], [replace(B, id="b1"), B]])
    assert ids == ["b1", "b"]
    assert events.rows == [("a", 0, "split", "", "nothing"), ("b", 0, "split", "", "b1, b"), ("b1", 0, "made", "b", "")]
    tally = events.tallies[0]
    assert (tally.seen, tally.passed, tally.made) == (2, 2, 0)
    ids, events = applied(lambda batch: [replace(A, task=A.task), replace(B, id="c")])
    assert ids == ["a", "c"] and [row[:2] for row in events.rows] == [("b", 0), ("c", 0)]
    assert events.tallies[0].changed == 1


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda batch: [], "step it gave 0 results for 2 samples"),
        (lambda batch: [None, None], "gave NoneType for sample a"),
        (lambda batch: [[Dropped("x")], A], "gave list for sample a"),
        (lambda batch: [[A, A], B], "made two samples of one id out of a"),
        (lambda batch: batch[5], "failed on a with IndexError"),
    ],
)
def test_what_is_no_result_stops_with_the_steps_name(function: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        applied(function)


def test_errors_drop_the_culprit_alone_where_asked_and_the_users_mistakes_always_stop() -> None:
    def fails(batch: Any) -> Any:
        return [1 / 0 if sample is B else sample for sample in batch]

    ids, events = applied(fails, drop_errors=True)
    assert ids == ["a"] and events.rows[0][3:] == ("step_failed", "ZeroDivisionError: division by zero")

    def mistake(batch: Any) -> Any:
        raise RecipeError("no such model")

    with pytest.raises(RecipeError, match="no such model"):
        applied(mistake, drop_errors=True)
