"""Questions about scenes, part two: counts added, compared and subtracted, with worked thoughts."""

from __future__ import annotations

import random
from itertools import combinations

from mimovl.curate.world.config import WorldConfig
from mimovl.curate.world.items import Turn
from mimovl.curate.world.language import Kind, Templates, noun, pick, say
from mimovl.curate.world.scene import Scene, SceneObject
from mimovl.curate.world.scene_turns import unique_turns
from mimovl.types import Gold

__all__ = ["reasoning_turns"]

_QUESTIONS: Templates = {
    "difference": {
        "en": ("How many more {x} than {y} are there?", "{X} minus {y}: how many?"),
        "zh": ("{x}比{y}多几个？",),
    },
    "sum": {"en": ("How many {x} and {y} are there together?", "{X} plus {y}: how many?"), "zh": ("{x}和{y}共几个？",)},
    "more": {"en": ("Are there more {x} than {y}?", "Do {x} outnumber {y}?"), "zh": ("{x}比{y}多吗？",)},
    "without": {"en": ("Take away all {x}. How many objects are left?",), "zh": ("拿走所有{x}，还剩几个物体？",)},
    "common_shape": {"en": ("Which shape is most common?",), "zh": ("哪种形状最多？",)},
    "common_colour": {"en": ("Which colour is most common?",), "zh": ("哪种颜色最多？",)},
    "extreme_colour": {"en": ("What colour is the {e} {x}?",), "zh": ("{e}的{x}是什么颜色？",)},
    "extreme_shape": {"en": ("What shape is the {e} {x}?",), "zh": ("{e}的{x}是什么形状？",)},
}
_EXTREMES = {
    "leftmost": ("最左边", 0, -1),
    "rightmost": ("最右边", 0, 1),
    "topmost": ("最上面", 1, -1),
    "lowest": ("最下面", 1, 1),
}
_CLEAR = 8.0
"""Pixels by which an extreme object must lead."""


def reasoning_turns(rng: random.Random, scene: Scene, language: str, config: WorldConfig) -> tuple[Turn, ...]:
    """Differences, sums, comparisons, majorities and extremes; answers are boxed."""
    turns = [*_pair_turns(rng, scene, language), *_majority_turns(rng, scene, language)]
    turns += _extreme_turns(rng, scene, language)
    rng.shuffle(turns)
    return unique_turns(turns, config.turns_per_item)


def _turn(question: str, answer: str, thought: str, language: str, *, number: bool) -> Turn:
    gold = Gold("number", int(answer)) if number else Gold("text", answer)
    return Turn("visual_reasoning", question, f"\\boxed{{{answer}}}", thought, gold, language)


def _counted(kind: Kind, found: list[SceneObject], language: str) -> str:
    """``circles: top left, centre: 2``."""
    places = ", ".join(say(thing.place, language) for thing in found)
    return f"{noun(kind, language, plural=True)}: {places}: {len(found)}"


def _pair_turns(rng: random.Random, scene: Scene, language: str) -> list[Turn]:
    """Two classes counted and compared; one question a pair of classes, of shapes or of colours."""
    shapes = [Kind(shape=shape) for shape in dict.fromkeys(thing.shape for thing in scene.objects)]
    colours = [Kind(colour=colour) for colour in dict.fromkeys(thing.colour for thing in scene.objects)]
    pairs = [*combinations(shapes, 2), *combinations(colours, 2)]
    turns = []
    for pair in rng.sample(pairs, min(4, len(pairs))):
        one, two = rng.sample(pair, 2)
        first, second = scene.all_of(one), scene.all_of(two)
        name = rng.choice(("difference", "sum", "more"))
        if name == "more" and len(first) == len(second) and rng.random() < 0.7:
            name = "sum"
        swap = rng.random() < 0.6 if name == "more" else name == "difference"
        if swap and len(first) < len(second):
            one, two, first, second = two, one, second, first
        x, y = noun(one, language, plural=True), noun(two, language, plural=True)
        question = pick(rng, _QUESTIONS, name, language, x=x, y=y, X=x[0].upper() + x[1:])
        thought = f"{_counted(one, first, language)}; {_counted(two, second, language)}; "
        a, b = len(first), len(second)
        if name == "difference":
            turns.append(_turn(question, str(a - b), f"{thought}{a}-{b}={a - b}", language, number=True))
        elif name == "sum":
            turns.append(_turn(question, str(a + b), f"{thought}{a}+{b}={a + b}", language, number=True))
        else:
            sign = ">" if a > b else "<" if a < b else "="
            answer = say("yes" if a > b else "no", language)
            turns.append(_turn(question, answer, f"{thought}{a}{sign}{b}", language, number=False))
    kinds = [kind for kind in [*shapes, *colours] if len(scene.all_of(kind)) < len(scene.objects)]
    if kinds:
        kind = rng.choice(kinds)
        gone, total = scene.all_of(kind), len(scene.objects)
        question = pick(rng, _QUESTIONS, "without", language, x=noun(kind, language, plural=True))
        thought = f"{_counted(Kind(), list(scene.objects), language)}; {_counted(kind, gone, language)}; "
        left = total - len(gone)
        turns.append(_turn(question, str(left), f"{thought}{total}-{len(gone)}={left}", language, number=True))
    return turns


def _majority_turns(rng: random.Random, scene: Scene, language: str) -> list[Turn]:
    """The most common shape and colour, where one leads."""
    turns = []
    for name in ("shape", "colour"):
        counts: dict[str, int] = {}
        for thing in scene.objects:
            value = thing.shape if name == "shape" else thing.colour
            counts[value] = counts.get(value, 0) + 1
        ranked = sorted(counts.items(), key=lambda entry: -entry[1])
        if len(ranked) >= 2 and ranked[0][1] > ranked[1][1]:
            thought = ", ".join(f"{say(value, language)} {count}" for value, count in counts.items())
            question = pick(rng, _QUESTIONS, f"common_{name}", language)
            turns.append(_turn(question, say(ranked[0][0], language), thought, language, number=False))
    return turns


def _extreme_turns(rng: random.Random, scene: Scene, language: str) -> list[Turn]:
    """Colour or shape of the leftmost, rightmost, topmost or lowest object of a crowd."""
    turns = []
    shapes = [Kind(shape=shape) for shape in dict.fromkeys(thing.shape for thing in scene.objects)]
    for kind in [Kind(), *shapes]:
        crowd = scene.all_of(kind)
        if len(crowd) < 2:
            continue
        extreme = rng.choice(list(_EXTREMES))
        chinese, axis, sign = _EXTREMES[extreme]
        ranked = sorted(crowd, key=lambda thing: -sign * thing.centre[axis])
        if sign * (ranked[0].centre[axis] - ranked[1].centre[axis]) < _CLEAR:
            continue
        asked = "colour" if kind.shape or rng.random() < 0.5 else "shape"
        answer = ranked[0].colour if asked == "colour" else ranked[0].shape
        words = chinese if language == "zh" else extreme
        question = pick(rng, _QUESTIONS, f"extreme_{asked}", language, e=words, x=noun(kind, language))
        listed = ", ".join(f"{say(thing.place, language)} {noun(thing.kind, language)}" for thing in crowd)
        winner = f"{words}: {noun(ranked[0].kind, language)}"
        turns.append(_turn(question, say(answer, language), f"{listed}; {winner}", language, number=False))
    return turns
