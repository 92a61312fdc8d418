"""Questions about one picture → samples: conversations that train, or one sample a question with its gold."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mimovl.data.chat_template import NO_THINK, think
from mimovl.types import Gold, Media, Message, Part, Sample

__all__ = ["Ask", "Question", "box_list", "to_samples"]

Ask = Literal["training", "questions"]
"""Conversations with their answers, or single questions with gold for tests and rewards."""


@dataclass(frozen=True)
class Question:
    """One question, its answer as the model should write it, and what a right one is."""

    task: str
    question: str
    answer: str
    gold: Gold


def box_list(pairs: Sequence[tuple[Sequence[int], str]]) -> str:
    """``[{"bbox_2d":[x1,y1,x2,y2],"label":"…"}]``, without spaces; ``[]`` of nothing."""
    listed = [{"bbox_2d": list(box), "label": label} for box, label in pairs]
    return json.dumps(listed, ensure_ascii=False, separators=(",", ":"))


def to_samples(
    name: str,
    media: Media,
    questions: Sequence[Question],
    *,
    ask: Ask,
    source: str,
    language: str,
    max_turns: int,
    meta: Mapping[str, Any] | None = None,
) -> list[Sample]:
    """Samples of a picture's questions, in their order.

    Args:
        name: id of the picture; samples add ``/0``, ``/1``, … (conversations) or ``#0``, … (questions).
        media: the picture.
        questions: about it.
        ask: which kind of samples.
        source: ``Sample.source``.
        language: of the questions.
        max_turns: most questions in one conversation; they answer without thinking, and one encoding of the picture
            pays for all of them.
        meta: kept with each sample.
    """
    kept = dict(meta or {})
    shown = {media.sha256: media}
    if ask == "questions":
        return [
            Sample(f"{name}#{n}", (_user(one.question, media),), shown, one.task, source, language, one.gold, kept)
            for n, one in enumerate(questions)
        ]
    samples = []
    for start in range(0, len(questions), max_turns):
        messages: list[Message] = []
        for number, one in enumerate(questions[start : start + max_turns]):
            messages.append(_user(one.question + NO_THINK, None if number else media))
            messages.append(Message("assistant", (Part("text", think("", one.answer)),)))
        task = questions[start].task
        samples.append(
            Sample(f"{name}/{start // max_turns}", tuple(messages), shown, task, source, language, meta=kept)
        )
    return samples


def _user(text: str, media: Media | None) -> Message:
    shown = (Part("image", media=media.sha256),) if media else ()
    return Message("user", (*shown, Part("text", text)))
