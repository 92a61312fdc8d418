"""Sample rollout groups of the reinforcement learning: one prompt, all its completions, their rewards and advantages.

For each task one group of the first third of the updates and one of the last third, drawn at random, so that a
reader sees both what the policy did and what it learned.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from mimovl.report.format import finite, fixed, integer, signed_fixed
from mimovl.report.gallery import clip_text, outcome_words
from mimovl.report.geometry import after_thought, gold_geometry, gold_text, read_geometry, thought_of
from mimovl.report.overlay import Drawing, draw
from mimovl.report.palette import in_order, task_class, task_name
from mimovl.report.pictures import Pictures
from mimovl.report.run_directory import Record, Stage, mapping, sample_lines, step_of

__all__ = ["Attempt", "Group", "build_group", "build_groups", "has_completions"]

SEED = 0
_LINES = 400
"""Groups read from the file to draw from; a long run has many thousands."""
_MOST_GROUPS = 18
_MOST_ATTEMPTS = 8


@dataclass(frozen=True)
class Attempt:
    """One completion. ``bar`` is its advantage as a share of the group's largest, signed."""

    answer: str
    thought: str
    reward: str
    reward_share: float
    advantage: str
    bar: float
    outcome: str
    right: bool


@dataclass(frozen=True)
class Group:
    """One prompt with its attempts, best first."""

    task_name: str
    css: str
    step: str
    when: str
    mode: str
    prompt: str
    truth: str
    shown: Drawing
    attempts: list[Attempt]
    hidden: int
    mean: str


def build_groups(stage: Stage, pictures: Pictures, notes: list[str]) -> list[Group]:
    """Up to two groups of each task, early ones before late ones."""
    lines = [line for line in sample_lines(stage.path / "rollouts.jsonl", _LINES, notes) if _completions(line)]
    last = max([step_of(line) for line in lines] + [stage.steps_done], default=0)
    chosen: list[tuple[Record, str]] = []
    for when, first, end in (("early", 0.0, 1 / 3), ("late", 2 / 3, 1.0)):
        for task in in_order(str(line.get("task") or "") for line in lines):
            window = [
                line for line in lines if line.get("task") == task and first * last <= step_of(line) <= end * last
            ]
            if window:
                chosen.append((random.Random(f"{SEED} {when} {task!a}").choice(window), when))
    order = in_order(str(line.get("task") or "") for line, _ in chosen)
    chosen.sort(key=lambda pair: (order.index(str(pair[0].get("task") or "")), pair[1]))
    return [build_group(line, when, pictures) for line, when in chosen[:_MOST_GROUPS]]


def _completions(line: Record) -> list[Record]:
    listed = line.get("completions")
    return [mapping(one) for one in listed if mapping(one)] if isinstance(listed, list) else []


def has_completions(line: Record) -> bool:
    """Whether a line holds a group that can be shown."""
    return bool(_completions(line))


def build_group(line: Record, when: str, pictures: Pictures) -> Group:
    """A group as the page shows it; ``when`` says in which part of the training it was."""
    gold = mapping(line.get("gold"))
    kind, task = str(gold.get("kind") or ""), str(line.get("task") or "")
    everything = sorted(_completions(line), key=lambda one: -(finite(one.get("reward")) or 0.0))
    drawn = _spread(everything)
    largest = max((abs(finite(one.get("advantage")) or 0.0) for one in everything), default=0.0) or 1.0
    attempts = [_attempt(one, largest) for one in drawn]
    truth = gold_geometry(kind, gold.get("answer"))
    said = [
        (
            read_geometry(kind, str(one.get("text") or "")),
            "said better" if (finite(one.get("advantage")) or 0) >= 0 else "said worse",
        )
        for one in drawn
    ]
    title = f"{task_name(task)}: all answers to {clip_text(line.get('prompt'), 120)}"
    shown = draw(pictures, line, str(line.get("sample_id") or ""), truth, said[::-1], title)
    rewards = [finite(one.get("reward")) or 0.0 for one in everything]
    return Group(
        task_name=task_name(task),
        css=task_class(task),
        step=integer(line.get("step")),
        when=when,
        mode="not thinking" if str(line.get("prompt")).rstrip().endswith("/no_think") else "thinking",
        prompt=clip_text(line.get("prompt")).removesuffix("/no_think").strip(),
        truth=clip_text(gold_text(kind, gold.get("answer"))),
        shown=shown,
        attempts=attempts,
        hidden=len(everything) - len(drawn),
        mean=fixed(sum(rewards) / max(len(rewards), 1)),
    )


def _spread(sorted_completions: Sequence[Record]) -> list[Record]:
    """At most eight of a group, evenly from best to worst."""
    count = len(sorted_completions)
    if count <= _MOST_ATTEMPTS:
        return list(sorted_completions)
    return [sorted_completions[round(index * (count - 1) / (_MOST_ATTEMPTS - 1))] for index in range(_MOST_ATTEMPTS)]


def _attempt(one: Record, largest: float) -> Attempt:
    text = str(one.get("text") or "")
    reward, advantage = finite(one.get("reward")), finite(one.get("advantage"))
    return Attempt(
        answer=clip_text(after_thought(text), 600),
        thought=clip_text(thought_of(text), 3_000),
        reward=fixed(reward),
        reward_share=min(max(reward or 0.0, 0.0), 1.0),
        advantage=signed_fixed(advantage),
        bar=(advantage or 0.0) / largest,
        outcome=outcome_words(one.get("outcome")),
        right=one.get("outcome") == "CORRECT",
    )
