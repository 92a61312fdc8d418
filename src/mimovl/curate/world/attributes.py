"""Questions about scenes: colour, shape, size, place, existence and neighbours, answered in one or two words."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from itertools import product

from mimovl.curate.world.config import WorldConfig
from mimovl.curate.world.items import Turn
from mimovl.curate.world.language import COLOURS, SHAPES, Kind, Templates, noun, pick, say, with_article
from mimovl.curate.world.refer import RELATIONS, by_attributes, only_related, refer, relation_words
from mimovl.curate.world.scene import Scene
from mimovl.curate.world.scene_turns import seen, unique_turns
from mimovl.types import Gold

__all__ = ["attribute_turns"]

_QUESTIONS: Templates = {
    "colour": {"en": ("What colour is the {x}?", "The {x} is which colour?"), "zh": ("{x}是什么颜色？",)},
    "shape": {"en": ("What shape is the {x}?", "The {x} has which shape?"), "zh": ("{x}是什么形状？",)},
    "size": {"en": ("Is the {x} large or small?", "What size is the {x}?"), "zh": ("{x}是大还是小？",)},
    "place": {"en": ("Where is the {x}?", "In which part is the {x}?"), "zh": ("{x}在哪里？",)},
    "exists": {"en": ("Is there {x}?", "Can you see {x}?"), "zh": ("有{x}吗？",)},
    "related": {"en": ("What is {x}?", "Which object is {x}?"), "zh": ("{x}是什么？",)},
}
_ALIASES = {
    "centre": ("center", "middle"),
    "top": ("top centre", "top center"),
    "bottom": ("bottom centre", "bottom center"),
    "cross": ("plus",),
    "large": ("big",),
    "中间": ("中央", "中心"),
    "左边": ("左",),
    "右边": ("右",),
    "大": ("大的",),
    "小": ("小的",),
    "是": ("有",),
    "否": ("没有", "不是"),
}
"""Other words for an answer that are as right."""


def attribute_turns(rng: random.Random, scene: Scene, language: str, config: WorldConfig) -> tuple[Turn, ...]:
    """Questions of all kinds in turn, until there are enough or nothing is left to ask."""
    names = ("colour", "shape", "size", "place")
    kinds = [_value_turns(rng, scene, language, name) for name in names]
    kinds += [_existence_turns(rng, scene, language), _neighbour_turns(rng, scene, language)]
    rng.shuffle(kinds)
    return unique_turns(_round_robin(kinds), config.turns_per_item)


def _round_robin(kinds: Iterable[Iterator[Turn]]) -> Iterator[Turn]:
    """One of each kind, then another of each, until all are exhausted."""
    left = list(kinds)
    while left:
        for kind in list(left):
            turn = next(kind, None)
            if turn is None:
                left.remove(kind)
            else:
                yield turn


def _turn(rng: random.Random, name: str, phrase: str, answer: str, thought: str, language: str, *aliases: str) -> Turn:
    question = pick(rng, _QUESTIONS, name, language, x=phrase)
    equal = [*aliases, *_ALIASES.get(answer, ())]
    gold = Gold("text", answer, {"aliases": equal} if equal else {})
    return Turn("attributes", question, answer, thought, gold, language)


def _value_turns(rng: random.Random, scene: Scene, language: str, name: str) -> Iterator[Turn]:
    """One attribute of each object, by a phrase that does not give it away."""
    for thing in rng.sample(scene.objects, len(scene.objects)):
        phrase = refer(rng, scene, thing, language, hide=(name,))
        if phrase:
            value = {"colour": thing.colour, "shape": thing.shape, "size": thing.size, "place": thing.place}[name]
            yield _turn(rng, name, phrase, say(value, language), seen(thing, language), language)


def _existence_turns(rng: random.Random, scene: Scene, language: str) -> Iterator[Turn]:
    """One kind that is there and one that is not."""
    for present in rng.sample((True, False), 2):
        kind = rng.choice(scene.objects).kind if present else _absent_kind(rng, scene)
        same_shape = scene.all_of(Kind(shape=kind.shape))
        thought = ", ".join(dict.fromkeys(noun(thing.kind, language) for thing in same_shape))
        answer = say("yes" if present else "no", language)
        phrase = with_article(noun(kind, language), language)
        yield _turn(rng, "exists", phrase, answer, thought or answer, language)


def _absent_kind(rng: random.Random, scene: Scene) -> Kind:
    """A colour and shape that is not in the scene, most often sharing one of the two with something that is."""
    model = rng.choice(scene.objects).kind
    absent = [kind for shape, colour in product(SHAPES, COLOURS) if not scene.all_of(kind := Kind(shape, colour))]
    near = [kind for kind in absent if (kind.shape == model.shape) != (kind.colour == model.colour)]
    return rng.choice(near if near and rng.random() < 0.7 else absent)


def _neighbour_turns(rng: random.Random, scene: Scene, language: str) -> Iterator[Turn]:
    """What is left of, right of, above or below an object, where exactly one object is."""
    pairs = list(product(scene.objects, RELATIONS))
    rng.shuffle(pairs)
    for anchor, relation in pairs:
        other = only_related(scene, anchor, relation, Kind())
        names = by_attributes(scene, anchor, language) if other else []
        if other and names:
            phrase = relation_words(relation, rng.choice(names), language)
            answer, full = noun(other.kind, language), noun(other.full_kind, language)
            yield _turn(rng, "related", phrase, answer, seen(other, language), language, full)
