"""Recall: lists to repeat and to look things up in, the shortest way to a language model that reads its context.

Text only, for the language model's base. A small model that is trained on questions alone learns the form of answers
and guesses their content for millions of tokens; with these lists among them it copies within a few hundred steps
(measured, docs/log.md), and everything else it is asked about a description builds on that.
"""

from __future__ import annotations

import random

from mimovl.curate.world.gui import LABELS
from mimovl.curate.world.items import Accept, Turn, WorldItem, draw_accepted
from mimovl.curate.world.vocabulary import ANIMALS, PLURAL_THINGS, WORDS

__all__ = ["build_recall"]

_COLOURS = ("red", "green", "blue", "yellow", "purple", "orange")
_SHAPES = ("circle", "square", "triangle", "star", "cross")
_PLACES = ("top left", "top", "top right", "left", "centre", "right", "bottom left", "bottom", "bottom right")
_ROW = tuple(dict.fromkeys((*_COLOURS, *_SHAPES, *LABELS, *ANIMALS, *PLURAL_THINGS, *WORDS)))
_KEYS = (*_COLOURS, *_SHAPES, *LABELS, *ANIMALS, *PLURAL_THINGS, *WORDS[:60])


class _Words:
    """Words in a row, each once: what follows one is said by that one alone, the easiest thing to learn to copy."""

    def __init__(self, rng: random.Random) -> None:
        self.words = rng.sample(_ROW, rng.randint(6, 24))

    @property
    def key(self) -> str:
        return "recall " + self.text

    @property
    def text(self) -> str:
        """The row as it is shown."""
        return " ".join(self.words)


class _List:
    """Pairs of a name and what stands beside it."""

    def __init__(self, rng: random.Random) -> None:
        names = rng.sample(_KEYS, rng.randint(3, 8))
        self.pairs = [(name, _value(rng)) for name in names]

    @property
    def key(self) -> str:
        return "recall " + self.text

    @property
    def text(self) -> str:
        """The list as it is shown."""
        return "; ".join(f"{name} {value}" for name, value in self.pairs)


def build_recall(rng: random.Random, config: object, accept: Accept) -> WorldItem:
    """A row of words or a list, and questions whose answers stand in it."""
    return _build_words(rng, accept) if rng.random() < 0.5 else _build_list(rng, accept)


def _build_words(rng: random.Random, accept: Accept) -> WorldItem:
    drawn = draw_accepted(lambda: _Words(rng), accept)
    turns = [_turn("Repeat the words.", drawn.text)]
    for place in rng.sample(range(len(drawn.words) - 1), 3):
        turns.append(_turn(f"What follows {drawn.words[place]}?", drawn.words[place + 1]))
    first = rng.randrange(len(drawn.words) - 2)
    turns.append(_turn(f"Go on from {drawn.words[first]}.", " ".join(drawn.words[first + 1 :])))
    return WorldItem("world/recall", drawn.key, turns=tuple(turns), description="words: " + drawn.text)


def _build_list(rng: random.Random, accept: Accept) -> WorldItem:
    drawn = draw_accepted(lambda: _List(rng), accept)
    turns = [_turn("Repeat the list.", drawn.text)]
    for name, value in rng.sample(drawn.pairs, min(4, len(drawn.pairs))):
        turns.append(_turn(f"What is beside {name}?", value))
    place = rng.randrange(len(drawn.pairs) - 1)
    turns.append(_turn(f"What follows {drawn.pairs[place][0]}?", " ".join(drawn.pairs[place + 1])))
    return WorldItem("world/recall", drawn.key, turns=tuple(turns), description="list: " + drawn.text)


def _value(rng: random.Random) -> str:
    """A number, a box, a place, or a colour and a shape."""
    kind = rng.randrange(4)
    if kind == 0:
        return str(rng.randint(0, 199))
    if kind == 1:
        return "[" + ",".join(str(rng.randint(0, 168)) for _ in range(4)) + "]"
    if kind == 2:
        return rng.choice(_PLACES)
    return f"{rng.choice(_COLOURS)} {rng.choice(_SHAPES)}"


def _turn(question: str, answer: str) -> Turn:
    return Turn(task="text", question=question, answer=answer, thought="", gold=None, language="en")
