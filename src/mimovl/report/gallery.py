"""An honest look at single answers: a uniform random sample of each task, failures included, with boxes drawn.

No answer is chosen for how it looks. The same run gives the same sample (fixed seed), and the page says how many
answers there were to draw from and how many of them are right.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mimovl.report.format import finite, fixed, integer, percent
from mimovl.report.geometry import (
    after_thought,
    asked_about,
    gold_geometry,
    gold_text,
    read_geometry,
    thought_of,
)
from mimovl.report.overlay import Drawing, draw
from mimovl.report.palette import in_order, task_class, task_name
from mimovl.report.pictures import Pictures
from mimovl.report.run_directory import Record, mapping

__all__ = ["Card", "Gallery", "build_gallery", "clip_text", "outcome_words"]

SEED = 0
CARDS = 66
"""About how many cards the gallery shows, over all tasks."""
_PER_TASK = (4, 10)
"""Fewest and most cards of a task."""
_MOST_CHARS = 1_500
_OUTCOMES = {
    "CORRECT": "right",
    "WRONG": "wrong",
    "NO_ANSWER": "no answer",
    "TRUNCATED": "cut off",
    "NOT_GRADED": "not graded",
}


@dataclass(frozen=True)
class Card:
    """One answer, ready to show."""

    task: str
    task_name: str
    css: str
    right: bool
    outcome: str
    mode: str
    language: str
    prompt: str
    shown: Drawing
    said: str
    truth: str
    thought: str
    whole: str
    """The completion as written, where ``said`` is only the boxes or the point that the grader read from it."""
    score: str
    tokens: str
    id: str


@dataclass(frozen=True)
class Gallery:
    """The cards and what they were drawn from."""

    checkpoint: str
    cards: list[Card]
    tasks: list[tuple[str, str, str, int]]
    """(task, name, colour class, cards) of each task shown."""
    drawn_from: int
    right: int
    right_shown: int

    @property
    def summary(self) -> str:
        """How the cards were chosen, and that they are like the whole."""
        return (
            f"{len(self.cards)} answers drawn at random, by task, from {integer(self.drawn_from)}; "
            f"{percent(self.right / max(self.drawn_from, 1), 0)} of all are right, "
            f"{percent(self.right_shown / max(len(self.cards), 1), 0)} of those shown."
        )


def clip_text(text: object, most: int = _MOST_CHARS) -> str:
    """Text cut to a length a page can bear, with the number of characters left out."""
    shown = text if isinstance(text, str) else "" if text is None else str(text)
    return shown if len(shown) <= most else f"{shown[:most]} … ({integer(len(shown) - most)} more characters)"


def outcome_words(outcome: object) -> str:
    """``TRUNCATED`` → ``cut off``."""
    return _OUTCOMES.get(str(outcome), str(outcome or "").lower())


def build_gallery(
    checkpoint: str, answers: Sequence[Record], modes: Mapping[str, str], pictures: Pictures, *, cards: int = CARDS
) -> Gallery | None:
    """Draw about ``cards`` answers of a checkpoint.

    Args:
        checkpoint: Its name.
        answers: Lines of its ``answers.jsonl``.
        modes: Headline mode of each task; only answers in that mode are drawn. A task not named may be in any mode.
        pictures: Where the pictures are.
        cards: How many cards to show over all tasks.

    Returns:
        The gallery, or None without answers.
    """
    by_task: dict[str, list[Record]] = {}
    for line in answers:
        task = str(line.get("task") or "")
        if modes.get(task, line.get("mode")) == line.get("mode"):
            by_task.setdefault(task, []).append(line)
    if not by_task:
        return None
    each = min(max(cards // len(by_task), _PER_TASK[0]), _PER_TASK[1])
    made: list[Card] = []
    tasks = []
    for task in in_order(by_task):
        lines = by_task[task]
        chosen = random.Random(f"{SEED} {task!a}").sample(lines, min(each, len(lines)))
        made += [_card(task, line, pictures) for line in chosen]
        tasks.append((task, task_name(task), task_class(task), len(chosen)))
    everything = [line for lines in by_task.values() for line in lines]
    right = sum(line.get("outcome") == "CORRECT" for line in everything)
    return Gallery(checkpoint, made, tasks, len(everything), right, sum(card.right for card in made))


def _card(task: str, line: Record, pictures: Pictures) -> Card:
    gold = mapping(line.get("gold"))
    kind, completion = str(gold.get("kind") or ""), str(line.get("completion") or "")
    truth = gold_geometry(kind, gold.get("answer"))
    said = read_geometry(kind, completion)
    right = line.get("outcome") == "CORRECT"
    prompt = clip_text(line.get("prompt")).removesuffix("/no_think").strip()
    title = f"{task_name(task)}: {clip_text(prompt, 120)} ({outcome_words(line.get('outcome'))})"
    drawn = [(said, "said" if right else "said wrong")]
    if not truth:
        drawn.append((asked_about(prompt), "asked"))
    shown = draw(pictures, line, str(line.get("id") or ""), truth, drawn, title)
    answer = after_thought(completion)
    read = clip_text(line.get("answer"))
    short = read if kind in ("box", "point") and said and "invalid" not in read else ""
    score = finite(line.get("score"))
    return Card(
        task=task,
        task_name=task_name(task),
        css=task_class(task),
        right=right,
        outcome=outcome_words(line.get("outcome")),
        mode="thinking" if line.get("mode") == "thinking" else "not thinking",
        language=str(line.get("language") or ""),
        prompt=prompt,
        shown=shown,
        said=short or clip_text(answer),
        truth=clip_text(gold_text(kind, gold.get("answer"))),
        thought=clip_text(thought_of(completion), 4_000),
        whole=clip_text(answer) if short else "",
        score=fixed(score) if score not in (None, 0.0, 1.0) else "",
        tokens=integer(line.get("tokens")) if finite(line.get("tokens")) else "",
        id=str(line.get("id") or ""),
    )
