"""Dense captions: everything in a picture or clip, one after the other, with its place and box or its time.

Every token of the answer has to be read off the picture, so a small model learns to see from far fewer samples than
from questions about one thing at a time. Same pictures as the other sources, one turn each.
"""

from __future__ import annotations

import random
from dataclasses import replace

from mimovl.curate.world.items import Turn, WorldItem

__all__ = ["DENSE_SOURCES", "with_dense_caption"]

DENSE_SOURCES = {"world/caption": 4, "world/gui": 2, "world/ocr": 1.5, "world/clip": 2}
"""Where the pictures come from, with weights."""

_QUESTIONS = {
    "world/caption": {"en": ("List the objects.", "List everything in the picture."), "zh": ("列出所有物体。",)},
    "world/gui": {"en": ("List the elements.", "List everything on the screen."), "zh": ("列出所有元素。",)},
    "world/ocr": {"en": ("List the words.", "List all words with their boxes."), "zh": ("列出所有文字。",)},
    "world/clip": {"en": ("List what is visible and when.", "List the events."), "zh": ("列出什么时候能看到什么。",)},
}


def with_dense_caption(item: WorldItem, rng: random.Random) -> WorldItem:
    """The item with one turn: the body of its own description."""
    body = item.description.partition(": ")[2]
    question = rng.choice(_QUESTIONS[item.source][item.language])
    turn = Turn(task="caption", question=question, answer=body, thought="", gold=None, language=item.language)
    return replace(item, source="world/dense", turns=(turn,))
