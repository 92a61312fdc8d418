"""Paired differences between two checkpoints, thinking and not thinking, as ``mimovl.evaluate`` computes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mimovl.errors import MimovlError
from mimovl.evaluate import Comparison, Difference, compare_answers
from mimovl.report.format import fixed, integer, percent, points, signed_fixed
from mimovl.report.palette import in_order, lower_first, task_class, task_name
from mimovl.report.run_directory import Checkpoint
from mimovl.report.scale import Scale, linear_scale
from mimovl.report.scores import Mark, checkpoint_label, interval_text, verdict_class

__all__ = ["DifferenceRow", "Differences", "Measure", "ModeDifference", "compare", "differences"]

_MARKS = {"no_think": "before", "thinking": "after"}


@dataclass(frozen=True)
class ModeDifference:
    """The difference of a task in one mode; all empty where that mode was not asked."""

    change: str = ""
    interval: str = ""
    verdict: str = ""
    headline: bool = False


@dataclass(frozen=True)
class DifferenceRow:
    """A row of the forest plot."""

    name: str
    css: str
    detail: str
    total: bool
    marks: tuple[Mark, ...]
    modes: tuple[ModeDifference, ...]
    """Not thinking, thinking; or one for both."""


@dataclass(frozen=True)
class Measure:
    """A further measure of a task in its headline mode."""

    name: str
    css: str
    was: str
    now: str
    change: str
    verdict: str


@dataclass(frozen=True)
class Differences:
    """All rows on one axis: ``zero`` and ``ticks`` are places in per cent of its width."""

    before: str
    after: str
    rows: list[DifferenceRow]
    zero: str
    ticks: list[tuple[str, str]]
    measures: list[Measure]
    num_unpaired: int

    @property
    def title(self) -> str:
        """``MORL minus stage 4``."""
        return f"{self.after} minus {lower_first(self.before)}"


def compare(before: Checkpoint | None, after: Checkpoint | None, notes: list[str]) -> Comparison | None:
    """Compare the answers of two checkpoints; None, and a note where it is not plain why, if that cannot be done."""
    if before is None or after is None or not (before.answers.exists() and after.answers.exists()):
        return None
    try:
        return compare_answers(before.answers, after.answers)
    except (MimovlError, KeyError, TypeError, ValueError) as error:
        notes.append(f"{before.name} and {after.name} cannot be compared: {error}")
        return None


def differences(before: Checkpoint, after: Checkpoint, comparison: Comparison) -> Differences:
    """The mean reward, sampled and greedy, then each task, on a shared axis around zero."""
    scale = linear_scale([0.0, *_ends(comparison)], 0.0, 100.0, ticks=5)
    mean = comparison.mean_reward
    change = ModeDifference(points(mean.difference), interval_text(mean), verdict_class(mean))
    detail = f"{integer(mean.n)} pairs, each task in its headline mode"
    rows = [DifferenceRow("Mean reward, greedy", "t-rl", detail, True, (_mark("after", mean, scale),), (change,))]
    if sampled := comparison.sampled_reward:
        change = ModeDifference(points(sampled.difference), interval_text(sampled), verdict_class(sampled))
        detail = (
            f"{integer(sampled.n)} pairs at temperature {comparison.temperature:g}, both modes: what MORL maximises"
        )
        row = DifferenceRow("Mean reward, sampled", "t-rl", detail, True, (_mark("after", sampled, scale),), (change,))
        rows.insert(0, row)
    for task in in_order(comparison.tasks):
        modes = comparison.tasks[task]
        pairs = ", ".join(dict.fromkeys(integer(one.score.n) for one in modes.values()))
        rows.append(
            DifferenceRow(
                name=task_name(task),
                css=task_class(task),
                detail=f"{pairs} pairs",
                total=False,
                marks=tuple(_mark(_MARKS[mode], modes[mode].score, scale) for mode in _MARKS if mode in modes),
                modes=tuple(
                    _mode(modes[mode].score, headline=comparison.modes[task] == mode)
                    if mode in modes
                    else ModeDifference()
                    for mode in _MARKS
                ),
            )
        )
    ticks = [(f"{scale(tick):.2f}", points(tick, 0 if abs(tick) >= 0.01 or tick == 0 else 1)) for tick in scale.ticks]
    return Differences(
        checkpoint_label(before.name),
        checkpoint_label(after.name),
        rows,
        f"{scale(0.0):.2f}",
        ticks,
        _measures(comparison),
        comparison.num_unpaired,
    )


def _ends(comparison: Comparison) -> Iterator[float]:
    yield from comparison.mean_reward.interval
    if comparison.sampled_reward:
        yield from comparison.sampled_reward.interval
    for modes in comparison.tasks.values():
        for one in modes.values():
            yield from (*one.score.interval, one.score.difference)


def _mark(kind: str, one: Difference, scale: Scale) -> Mark:
    low, high = (scale(end) for end in one.interval)
    return Mark(kind, f"{scale(one.difference):.2f}", f"{low:.2f}", f"{high - low:.2f}")


def _mode(one: Difference, *, headline: bool) -> ModeDifference:
    return ModeDifference(points(one.difference), interval_text(one), verdict_class(one), headline)


def _measures(comparison: Comparison) -> list[Measure]:
    return [
        _measure(task, name, change)
        for task, one in comparison.headline().items()
        for name, change in one.extra.items()
    ]


def _measure(task: str, name: str, change: Difference) -> Measure:
    is_error = "error" in name
    write = fixed if is_error else percent
    signed = signed_fixed if is_error else points
    low, high = change.interval
    return Measure(
        f"{task_name(task)}: {name.replace('_', ' ')}",
        task_class(task),
        write(change.before),
        write(change.after),
        f"{signed(change.difference)} ({signed(low)} to {signed(high)})",
        verdict_class(change),
    )
