"""What the monitors of the reinforcement learning have said: each failure once, with its examples as rollout groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mimovl.report.format import plural, significant
from mimovl.report.gallery import clip_text
from mimovl.report.palette import in_order, task_class, task_name
from mimovl.report.pictures import Pictures
from mimovl.report.rollouts import Group, build_group, has_completions
from mimovl.report.run_directory import Record, Stage, mapping, read_lines, step_of

__all__ = ["AlertRow", "build_alerts"]

MONITORS: Mapping[str, str] = {
    "lengths": "Response length",
    "counting": "Counting whatever is shown",
    "blanked": "Answers without looking",
    "entropy": "Entropy",
    "gap": "Sampling against training",
    "heldout": "Held-out does not follow",
    "language": "Mixed languages",
    "spread": "Rewards without a difference",
}
"""Monitor → its name for people, in the order of the report."""
_MOST_GROUPS = 2
_MOST_ROWS = 24


@dataclass(frozen=True)
class AlertRow:
    """A failure: when it was said first and last, in the words of the last time."""

    title: str
    task_name: str
    css: str
    when: str
    message: str
    value: str
    limit: str
    groups: list[Group]


def build_alerts(stage: Stage, pictures: Pictures, notes: list[str]) -> list[AlertRow]:
    """One row for each failure that a monitor has found in a task; none without ``alerts.jsonl``."""
    found: dict[tuple[str, str, str], list[Record]] = {}
    for line in read_lines(stage.path / "alerts.jsonl", notes):
        monitor, task, kind = (str(line.get(name) or "") for name in ("monitor", "task", "kind"))
        found.setdefault((monitor, task, kind), []).append(line)
    monitors, tasks = list(MONITORS), in_order(task for _, task, _ in found)

    def place(key: tuple[str, str, str]) -> tuple[int, int]:
        return (monitors.index(key[0]) if key[0] in MONITORS else len(monitors), tasks.index(key[1]))

    return [_row(*key[:2], found[key], pictures) for key in sorted(found, key=place)[:_MOST_ROWS]]


def _row(monitor: str, task: str, lines: list[Record], pictures: Pictures) -> AlertRow:
    first, last = step_of(lines[0]), step_of(lines[-1])
    listed = lines[-1].get("groups")
    examples = [mapping(one) for one in listed] if isinstance(listed, list) else []
    return AlertRow(
        title=MONITORS.get(monitor, monitor or "alert"),
        task_name=task_name(task) if task else "all tasks",
        css=task_class(task),
        when=f"update {first}" if first == last else f"updates {first} to {last}, {plural(len(lines), 'time')}",
        message=clip_text(lines[-1].get("message"), 400),
        value=significant(lines[-1].get("value")),
        limit=significant(lines[-1].get("limit")),
        groups=[build_group(one, "shown", pictures) for one in examples[:_MOST_GROUPS] if has_completions(one)],
    )
