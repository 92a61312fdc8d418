"""Which tasks a set of samples holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mimovl.errors import UsageError
from mimovl.evaluate.task import Task
from mimovl.evaluate.tasks.general import task_for_gold
from mimovl.evaluate.tasks.world import WORLD_TASKS
from mimovl.suggest import nearest
from mimovl.types import Sample

__all__ = ["WORLD_TASKS", "task_for_gold", "tasks_for"]


def tasks_for(
    samples: Iterable[Sample], names: Sequence[str] | None = None, *, known: Sequence[Task] = WORLD_TASKS
) -> list[Task]:
    """List the tasks the samples belong to: known ones first in their order, then others in order of appearance.

    Args:
        samples: samples; those without gold belong to no task.
        names: keep only these tasks.
        known: tasks looked at before one is made from the gold's kind.

    Raises:
        UsageError: a name is of no task of these samples; names the nearest.
        DataError: a sample has gold of an unknown kind.
    """
    found: dict[str, Task] = {}
    made: dict[str, Task] = {}
    for sample in samples:
        if sample.gold is None:
            continue
        task = next((task for task in known if task.takes(sample)), None)
        if task is not None:
            found[task.name] = task
        elif sample.task not in made or made[sample.task].binary:
            # a list of several boxes or an edit metric anywhere makes the whole task a mean
            made[sample.task] = task_for_gold(sample.task, sample.gold)
    tasks = [task for task in known if task.name in found]
    tasks += [task for name, task in made.items() if name not in found]
    if names is None:
        return tasks
    available = {task.name: task for task in tasks}
    for name in names:
        if name not in available:
            known_names = ", ".join(available) or "none"
            raise UsageError(f"no sample of task {name!r}; tasks here are {known_names}{nearest(name, [*available])}")
    return [task for task in tasks if task.name in names]
