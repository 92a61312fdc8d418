"""Documents: pages that alternate text and small pictures, and plain text (stories, definitions, lists)."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from mimovl.curate.world.config import WorldConfig
from mimovl.curate.world.items import KEY_SEPARATOR, Accept, WorldItem, draw_accepted
from mimovl.curate.world.language import COLOURS, PLACES, SHAPES, Kind, noun, with_article
from mimovl.curate.world.scene import describe, draw_scene, render
from mimovl.curate.world.scene_turns import caption
from mimovl.curate.world.vocabulary import ANIMALS, NAMES, PLURAL_THINGS, WORDS

__all__ = ["build_interleaved", "build_text"]

_OPENINGS = {"en": ("First", "Here", "On this page"), "zh": ("首先", "这里")}
_NEXT = {"en": ("Next", "Then", "Below"), "zh": ("然后", "接着")}
_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_SPOTS = ("river", "hill", "house", "lake", "road", "school", "tree", "shop", "bridge", "garden")
_SHAPE_FACTS = {
    "circle": "is round and has no corners",
    "square": "has four equal sides and four corners",
    "triangle": "has three sides and three corners",
    "star": "has five points",
    "cross": "has four arms",
}


def build_interleaved(rng: random.Random, config: WorldConfig, accept: Accept) -> WorldItem:
    """A page of two or three small pictures, each with a sentence before or after that describes it."""
    language = "zh" if rng.random() < config.chinese_share else "en"
    after = rng.random() < 0.5
    pieces: list[str | Image.Image] = []
    words: list[str] = []
    keys = []
    for number in range(rng.randint(*config.interleaved_pictures)):
        scene = draw_scene(rng, config, accept, sides=config.interleaved_sides, counts=(1, 3))
        keys.append(scene.key)
        opening = rng.choice((_OPENINGS if number == 0 else _NEXT)[language])
        sentence = caption(scene, language)
        if language == "zh":
            text = f"{opening}是{sentence}\n"
        else:
            text = f"{opening} is {sentence[0].lower()}{sentence[1:]}\n"
        picture = render(rng, scene, config)
        pieces += [picture, text] if after else [text, picture]
        words += [describe(scene, language) + "\n", text] if after else [text, describe(scene, language) + "\n"]
    return WorldItem(
        source="world/interleaved",
        key=KEY_SEPARATOR.join(keys),
        language=language,
        document=tuple(pieces),
        description="".join(words),
    )


@dataclass(frozen=True)
class _Text:
    text: str

    @property
    def key(self) -> str:
        return f"text {self.text}"


def build_text(
    rng: random.Random, config: WorldConfig, accept: Accept, described: Callable[[], WorldItem]
) -> WorldItem:
    """A short plain text; sometimes the textual description of a picture or clip, made by ``described``."""
    if rng.random() < config.described_share:
        item = described()
        lines = [item.description]
        lines += [f"{turn.question} {turn.answer}" for turn in rng.sample(item.turns, min(3, len(item.turns)))]
        text = "\n".join(lines)
        return WorldItem("world/text", item.key, item.language, document=(text,), description=text)
    drawn = draw_accepted(lambda: _Text(rng.choice(_WRITERS)(rng)), accept)
    return WorldItem("world/text", drawn.key, document=(drawn.text,), description=drawn.text)


def _story(rng: random.Random) -> str:
    name, animal, spot = rng.choice(NAMES), rng.choice(ANIMALS), rng.choice(_SPOTS)
    kind = Kind(shape=rng.choice(list(SHAPES)), colour=rng.choice(list(COLOURS)))
    thing, number = rng.choice(PLURAL_THINGS), rng.randint(2, 9)
    first = rng.choice((f"{name} has a {animal}.", f"{name} sees a {animal} near the {spot}."))
    seat = with_article(noun(kind, "en"), "en")
    second = rng.choice((f"It sits on {seat}.", f"It finds {number} {thing}.", f"It runs to the {spot}."))
    third = rng.choice((f"{name} is happy.", f"Then the {animal} goes home.", "They play all day."))
    return f"{first} {second} {third}"


def _definition(rng: random.Random) -> str:
    shape, other = rng.sample(list(_SHAPE_FACTS), 2)
    colour, second = rng.sample(list(COLOURS), 2)
    sentence = with_article(f"{colour} {shape}", "en").capitalize()
    return f"A {shape} {_SHAPE_FACTS[shape]}. A {other} {_SHAPE_FACTS[other]}. {sentence} is not {second}."


def _word_list(rng: random.Random) -> str:
    words = rng.sample(WORDS, rng.randint(4, 8))
    return "Words: " + ", ".join(words) + f". The first is {words[0]} and the last is {words[-1]}."


def _counting(rng: random.Random) -> str:
    thing, number = rng.choice(PLURAL_THINGS), rng.randint(2, 10)
    counted = ", ".join(_NUMBERS[:number])
    return f"Count the {thing}: {counted}. There are {number} {thing}. {_NUMBERS[number - 1].capitalize()} is {number}."


def _numbers(rng: random.Random) -> str:
    start, step = rng.randint(1, 60), rng.choice((1, 1, 2, 5, 10))
    values = [start + step * index for index in range(rng.randint(5, 8))]
    return f"Count by {step}: {', '.join(map(str, values))}. {values[-1]} is more than {values[0]}."


def _place(rng: random.Random) -> str:
    row, column = rng.randrange(3), rng.randrange(3)
    place = list(PLACES)[3 * row + column]
    kind = noun(Kind(shape=rng.choice(list(SHAPES)), colour=rng.choice(list(COLOURS))), "en")
    across, down = ("left", "middle", "right")[column], ("top", "middle", "bottom")[row]
    return f"The {kind} is {'in' if place == 'centre' else 'at'} the {place}: {down} row, {across} column."


_WRITERS = (_story, _story, _definition, _word_list, _counting, _numbers, _place)
