"""``mimovl decontaminate``: what is checked against may be a folder, a file, or a task of the embedded evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mimovl.curate.benchmark_items import BenchmarkItem, items_of, read_items
from mimovl.curate.decontaminate import Audit, decontaminate
from mimovl.curate.world import WorldConfig
from mimovl.errors import UsageError
from mimovl.evaluate.tasks import tasks_for
from mimovl.pipeline.data import heldout_questions
from mimovl.pipeline.evaluate import HELDOUT_ITEMS, HELDOUT_SEED
from mimovl.store import Dataset

__all__ = ["decontaminate_dataset"]


def decontaminate_dataset(
    dataset: Path,
    against: Sequence[str],
    out: Path | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Audit, Path]:
    """Check a dataset against folders and tasks and write the copy without leaks.

    Args:
        dataset: folder of the training set.
        against: folders or files (see ``curate/benchmark_items``), or names of tasks that ``mimovl evaluate`` asks.
        out: folder to make; without it the dataset's name with ``-decontaminated``.
        progress: told of samples checked and samples in all.

    Returns:
        The audit and the folder written.

    Raises:
        UsageError: a name is neither a path nor a task, or the folder exists.
    """
    if not against:
        raise UsageError("nothing to check against; give --against a folder, a file or a task, as often as needed")
    path = out or dataset.with_name(f"{dataset.absolute().name}-decontaminated")
    opened = Dataset.open(dataset)
    names = [name for entry in against for name in ([entry] if Path(entry).exists() else entry.split(","))]
    paths = [name for name in names if Path(name).exists() or "/" in name]
    tasks = [name for name in names if name not in paths]

    def items() -> Iterator[BenchmarkItem]:
        for name in paths:
            yield from read_items(name)
        if tasks:
            yield from _task_items(tasks)

    return decontaminate(opened, items, path, progress=progress), path


def _task_items(names: Sequence[str]) -> Iterator[BenchmarkItem]:
    """Held-out questions of the embedded world that belong to the tasks."""
    questions = heldout_questions(HELDOUT_ITEMS, WorldConfig(), seed=HELDOUT_SEED, per_item=4)
    samples = [sample for _, found in questions for sample in found]
    for task in tasks_for(samples, list(names)):
        yield from items_of((sample for sample in samples if task.takes(sample)), task.name)
