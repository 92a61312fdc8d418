"""Tasks are cut from the input alone, segments end where a step must see everything, parts can be made again."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

import pytest

from mimovl.curate.pipeline.plan import Limits, Part, label_steps, make_plan
from mimovl.curate.pipeline.tools import PlainTools
from mimovl.curate.step import Apply, Reader, Step, Tools, Unit
from mimovl.errors import UsageError
from tests.curate.pipeline.parts import DropEven, Numbers, OnePerPicture, Shout


def plan_of(folder: Path, steps: list[object], limits: Limits | None = None, count: int = 100):  # type: ignore[no-untyped-def]
    tools = partial(PlainTools, folder)
    return make_plan([Numbers(count=count)], steps, tools=tools, work=folder, limits=limits or Limits())  # type: ignore[arg-type]


def test_segments_end_where_a_step_must_see_everything(tmp_path: Path) -> None:
    plan, _ = plan_of(tmp_path, [Shout(), OnePerPicture(), OnePerPicture(), DropEven(), Shout()])
    found = [(s.decide, s.steps, s.observe) for s in plan.segments]
    assert found == [(None, (0,), 1), (1, (), 2), (2, (3, 4), None)]
    assert plan.labels == ("shout", "one_per_picture", "one_per_picture#2", "drop_even", "shout#2")
    assert label_steps([]) == ()


def test_small_pieces_are_put_together_within_both_limits(tmp_path: Path) -> None:
    _, tasks = plan_of(tmp_path, [], Limits(task_items=25))
    assert [len(task.units) for task in tasks] == [2] * 5 and [task.items for task in tasks] == [20] * 5
    _, tasks = plan_of(tmp_path, [], Limits(task_units=3))
    assert [len(task.units) for task in tasks] == [3, 3, 3, 1]
    _, tasks = plan_of(tmp_path, [], Limits(task_items=1))
    assert [len(task.units) for task in tasks] == [1] * 10


def test_what_a_curation_is_depends_on_steps_input_and_seed_and_not_on_tries(tmp_path: Path) -> None:
    plan, tasks = plan_of(tmp_path, [Shout()])
    about = plan.about(tasks)
    same, tasks = plan_of(tmp_path, [Shout()], Limits(attempts=9))
    assert same.about(tasks) == about
    for steps, limits, count in ([[], None, 100], [[Shout()], Limits(task_items=9), 100], [[Shout()], None, 90]):
        other, tasks = plan_of(tmp_path, steps, limits, count)  # type: ignore[arg-type]
        assert other.about(tasks) != about


def test_parts_are_made_again_of_their_text() -> None:
    for model in (DropEven(slow=0.5), Numbers(count=3)):
        assert Part.of(model).make() == model

    class Inner(Step):
        step: Literal["inner"] = "inner"

        def open(self, tools: Tools) -> Apply:
            return list

    with pytest.raises(UsageError, match="is made inside a function"):
        Part.of(Inner())


def test_two_pieces_of_one_name_are_refused(tmp_path: Path) -> None:
    class Twice(Reader):
        def units(self) -> list[Unit]:
            return [Unit("a", 1), Unit("a", 2)]

        def read(self, unit: Unit):  # type: ignore[no-untyped-def]
            yield from ()

    Twice.__qualname__ = "Twice"
    with pytest.raises(UsageError, match="two pieces are named 'a'"):
        make_plan([Twice()], [], tools=partial(PlainTools, tmp_path), work=tmp_path, limits=Limits())
