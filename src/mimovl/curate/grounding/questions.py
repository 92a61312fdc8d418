"""Questions about where things are: one by an expression, all of some kinds, and what is not there at all.

Tasks, answers and golds are those of the embedded world (``grounding``, ``multi_grounding``); ``grounding_negative`` is
answered ``[]``. Asked for what is there and for what is not, the words are the same, so that the words give nothing
away.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from mimovl.curate.conversations import Question, box_list
from mimovl.curate.grounding.compose import absent, compose
from mimovl.curate.grounding.convert import to_resized
from mimovl.curate.grounding.expression import Expression, Kind, Thing, evaluate
from mimovl.curate.grounding.words import Names, called, can_say, nouns, phrase
from mimovl.curate.world.language import Templates, join, pick
from mimovl.types import Gold

__all__ = ["Picture", "grounding_questions"]

_QUESTIONS: Templates = {
    "one": {
        "en": ("Where is the {x}? Give its box.", "Find the {x}.", "Box of the {x}?", "Locate the {x}."),
        "zh": ("找出{x}。", "{x}的框？", "{x}在哪里？给出框。"),
    },
    "all": {
        "en": ("Find all {x}.", "Give the boxes of all {x}.", "Locate every one of the {x}."),
        "zh": ("找出所有{x}。", "给出所有{x}的框。"),
    },
}
_NONE = {"en": " If there is none, answer [].", "zh": "如果没有，回答[]。"}
_HINTED = 0.3
"""Share of questions, of both kinds, that say what to answer if nothing is there."""


@dataclass(frozen=True)
class Picture:
    """All that is known of a picture: every object of the classes it speaks of, in pixels of ``size``."""

    things: tuple[Thing, ...]
    size: tuple[int, int]
    new_size: tuple[int, int]
    """Width and height as the model sees it."""
    missing: tuple[str, ...] = ()
    """Classes it is known not to show."""


def grounding_questions(
    rng: random.Random,
    picture: Picture,
    language: str,
    *,
    limit: int,
    negative_share: float = 0.15,
    complex_share: float = 0.5,
    names: Names | None = None,
) -> list[Question]:
    """Up to ``limit`` different questions in random order.

    Args:
        rng: where chance comes from.
        picture: what is asked about.
        language: en or zh; what cannot be said in it is not asked.
        limit: most questions.
        negative_share: chance of each place among them to be about what is not there.
        complex_share: how often an expression is one of the longest that fit, not of the shortest.
        names: what to call classes and attributes.
    """
    names = names or {}
    things = picture.things
    questions: list[Question] = []
    for number in rng.sample(range(len(things)), min(limit, len(things))):
        expression = compose(rng, things, number, picture.size, complex_share=complex_share)
        if expression is not None and can_say(expression, language, names):
            questions.append(_one(rng, picture, expression, number, language, names))
    kinds = [kind for kind in _shared_kinds(things) if can_say(kind, language, names)]
    for kind in rng.sample(kinds, min(2, len(kinds))):
        questions.append(_all(rng, picture, [kind], language, names))
    classes = [Kind(label) for label in dict.fromkeys(thing.label for thing in things)]
    classes = [kind for kind in classes if can_say(kind, language, names)]
    if len(classes) >= 2:
        questions.append(_all(rng, picture, rng.sample(classes, 2), language, names))
    rng.shuffle(questions)
    mixed: list[Question] = []
    for question in questions[:limit]:
        nothing = absent(rng, things, picture.missing, picture.size) if rng.random() < negative_share else None
        sayable = nothing is not None and can_say(nothing, language, names)
        mixed.append(_none(rng, nothing, language, names) if nothing is not None and sayable else question)
    if not questions and negative_share > 0:
        nothing = absent(rng, things, picture.missing, picture.size)
        if nothing is not None and can_say(nothing, language, names):
            mixed.append(_none(rng, nothing, language, names))
    return list({one.question: one for one in mixed}.values())


def _shared_kinds(things: Sequence[Thing]) -> list[Kind]:
    """Classes, and classes with one attribute, of which there are two or more and no doubt of one."""
    kinds = [Kind(thing.label, some) for thing in things for some in ((), *((pair,) for pair in thing.attributes))]
    found = []
    for kind in dict.fromkeys(kinds):
        fit = evaluate(kind, things, (1, 1))
        if len(fit.surely) >= 2 and fit.surely == fit.perhaps:
            found.append(kind)
    return found


def _one(
    rng: random.Random, picture: Picture, expression: Expression, number: int, language: str, names: Names
) -> Question:
    thing = picture.things[number]
    box = to_resized(thing.box, picture.size, picture.new_size)
    question = pick(rng, _QUESTIONS, "one", language, x=phrase(expression, language, names))
    answer = box_list([(box, called(thing.label, language, names))])
    return Question("grounding", question + _hint(rng, language), answer, Gold("box", box))


def _all(rng: random.Random, picture: Picture, kinds: Sequence[Kind], language: str, names: Names) -> Question:
    """All things of the kinds, in reading order of their tops."""
    meant = {number for kind in kinds for number in evaluate(kind, picture.things, picture.size).surely}
    pairs = [
        (to_resized(thing.box, picture.size, picture.new_size), called(thing.label, language, names))
        for number, thing in enumerate(picture.things)
        if number in meant
    ]
    pairs.sort(key=lambda pair: (pair[0][1], pair[0][0]))
    listed = [nouns(kind, language, names, many=True) for kind in kinds]
    words = "和".join(listed) if language == "zh" else join(listed, language)
    question = pick(rng, _QUESTIONS, "all", language, x=words) + _hint(rng, language)
    return Question("multi_grounding", question, box_list(pairs), Gold("box", [box for box, _ in pairs]))


def _none(rng: random.Random, expression: Expression, language: str, names: Names) -> Question:
    assert isinstance(expression, Kind)
    name = rng.choice(("one", "all"))
    words = nouns(expression, language, names, many=name == "all")
    question = pick(rng, _QUESTIONS, name, language, x=words) + _hint(rng, language)
    return Question("grounding_negative", question, "[]", Gold("json", []))


def _hint(rng: random.Random, language: str) -> str:
    return _NONE[language] if rng.random() < _HINTED else ""
