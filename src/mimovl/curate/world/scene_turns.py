"""Questions about scenes: captions, counting and boxes, and what the other kinds of question share."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mimovl.curate.world.config import WorldConfig
from mimovl.curate.world.items import Turn
from mimovl.curate.world.language import COLOURS, SHAPES, Kind, Templates, join, noun, pick, place_phrase, say
from mimovl.curate.world.refer import refer
from mimovl.curate.world.scene import Scene, SceneObject, lay_out
from mimovl.types import Gold

__all__ = [
    "CountingScene",
    "box_answer",
    "caption",
    "caption_turns",
    "counting_questions",
    "counting_turns",
    "grounding_turns",
    "sample_counting_scene",
    "seen",
    "unique_turns",
]

_QUESTIONS: Templates = {
    "caption": {
        "en": ("Describe the picture.", "What is in the picture?", "Write a caption."),
        "zh": ("描述这张图片。", "图里有什么？"),
    },
    "count": {"en": ("How many {x} are there?", "Count the {x}."), "zh": ("有几个{x}？", "数一数{x}。")},
    "box": {
        "en": ("Where is the {x}? Give its box.", "Find the {x}.", "Box of the {x}?"),
        "zh": ("找出{x}。", "{x}的框？"),
    },
    "boxes": {"en": ("Find all {x}.", "Give the boxes of all {x}."), "zh": ("找出所有{x}。",)},
}
_COUNT_SHARE = {1: 0.06, 2: 0.24, 3: 0.6, 4: 1.0, 5: 0.8, 6: 0.4}
"""How often a further count is asked by its answer, so that answers stay balanced (small counts abound)."""


def unique_turns(turns: Iterable[Turn], limit: int) -> tuple[Turn, ...]:
    """The first ``limit`` turns, each question once."""
    found: dict[str, Turn] = {}
    for turn in turns:
        found.setdefault(turn.question, turn)
        if len(found) == limit:
            break
    return tuple(found.values())


def box_answer(pairs: Sequence[tuple[Sequence[int], str]]) -> str:
    """``[{"bbox_2d":[x1,y1,x2,y2],"label":"…"}]``, without spaces."""
    return json.dumps(
        [{"bbox_2d": list(box), "label": label} for box, label in pairs], ensure_ascii=False, separators=(",", ":")
    )


def seen(thing: SceneObject, language: str) -> str:
    """What was looked at, as a thought: ``top left: large red circle``."""
    return f"{say(thing.place, language)}: {noun(thing.full_kind, language)}"


def _places(things: Sequence[SceneObject], language: str) -> str:
    return ", ".join(say(thing.place, language) for thing in things)


def caption(scene: Scene, language: str) -> str:
    """One sentence that lists the objects in reading order."""
    parts = []
    for thing in scene.objects:
        name, place = noun(thing.full_kind, language), place_phrase(thing.place, language)
        parts.append(f"一个{name}{place}" if language == "zh" else f"a {name} {place}")
    sentence = join(parts, language)
    return sentence + "。" if language == "zh" else sentence[0].upper() + sentence[1:] + "."


def caption_turns(rng: random.Random, scene: Scene, language: str, config: WorldConfig) -> tuple[Turn, ...]:
    """One caption, graded by the words it shares with the right one (F1): coarse, as there are many right ones."""
    question = pick(rng, _QUESTIONS, "caption", language)
    thought = f"{len(scene.objects)}个物体" if language == "zh" else f"{len(scene.objects)} objects"
    answer = caption(scene, language)
    return (Turn("caption", question, answer, thought, Gold("text", answer, {"metric": "f1"}), language),)


@dataclass(frozen=True)
class CountingScene:
    """A scene and what to count in it."""

    scene: Scene
    asked: Kind

    @property
    def key(self) -> str:
        """The scene's."""
        return self.scene.key


def sample_counting_scene(rng: random.Random, config: WorldConfig) -> CountingScene:
    """A scene whose answer is uniform over the possible counts; the other objects, if any, do not match."""
    low, high = config.objects
    shapes, colours = list(SHAPES), list(COLOURS)
    shape, colour = rng.choice(shapes), rng.choice(colours)
    asked = rng.choice((Kind(), Kind(shape=shape), Kind(colour=colour), Kind(shape, colour)))
    answer = rng.randint(low if asked == Kind() else 1, high)
    others = 0 if asked == Kind() else rng.randint(max(0, low - answer), high - answer)
    kinds = [Kind(asked.shape or rng.choice(shapes), asked.colour or rng.choice(colours)) for _ in range(answer)]
    while len(kinds) < answer + others:
        near_shape, near_colour = rng.random() < 0.3, rng.random() < 0.3
        kind = Kind(shape if near_shape else rng.choice(shapes), colour if near_colour else rng.choice(colours))
        if not asked.covers(kind):
            kinds.append(kind)
    return CountingScene(lay_out(rng, config, kinds), asked)


def counting_questions() -> dict[str, Kind]:
    """What every question that :func:`counting_turns` can ask is about."""
    kinds = [Kind(shape, colour) for shape in ("", *SHAPES) for colour in ("", *COLOURS)]
    return {
        template.format(x=noun(kind, language, plural=True)): kind
        for language, templates in _QUESTIONS["count"].items()
        for template in templates
        for kind in kinds
    }


def counting_turns(rng: random.Random, counting: CountingScene, language: str, config: WorldConfig) -> tuple[Turn, ...]:
    """How many of what is to be counted, then of other kinds, thinned so that the answers stay balanced."""
    scene, asked = counting.scene, counting.asked
    kinds = {Kind(): None}
    for thing in scene.objects:
        for kind in (Kind(shape=thing.shape), Kind(colour=thing.colour), thing.kind):
            kinds[kind] = None
    further = [
        kind for kind in kinds if kind != asked and rng.random() < _COUNT_SHARE.get(len(scene.all_of(kind)), 0.0)
    ]
    rng.shuffle(further)
    turns = []
    for kind in [asked, *further]:
        found = scene.all_of(kind)
        question = pick(rng, _QUESTIONS, "count", language, x=noun(kind, language, plural=True))
        thought = ", ".join(f"{index} {say(thing.place, language)}" for index, thing in enumerate(found, 1))
        answer = str(len(found))
        turns.append(Turn("counting", question, answer, thought, Gold("count", len(found)), language))
    return unique_turns(turns, config.turns_per_item)


def grounding_turns(rng: random.Random, scene: Scene, language: str, config: WorldConfig) -> tuple[Turn, ...]:
    """The box of one object by a phrase that fits only it, and the boxes of all objects of a kind."""
    turns: list[Turn] = []
    for thing in scene.objects:
        phrase = refer(rng, scene, thing, language)
        if phrase:
            question = pick(rng, _QUESTIONS, "box", language, x=phrase)
            answer = box_answer([(thing.box, noun(thing.kind, language))])
            turns.append(
                Turn("grounding", question, answer, seen(thing, language), Gold("box", list(thing.box)), language)
            )
    shared = {Kind(): None}
    for thing in scene.objects:
        for kind in (Kind(shape=thing.shape), Kind(colour=thing.colour), thing.kind):
            shared[kind] = None
    several = [kind for kind in shared if len(scene.all_of(kind)) >= 2]
    for kind in rng.sample(several, min(2, len(several))):
        found = scene.all_of(kind)
        question = pick(rng, _QUESTIONS, "boxes", language, x=noun(kind, language, plural=True))
        answer = box_answer([(thing.box, noun(thing.kind, language)) for thing in found])
        gold = Gold("box", [list(thing.box) for thing in found])
        turns.append(Turn("multi_grounding", question, answer, _places(found, language), gold, language))
    rng.shuffle(turns)
    return unique_turns(turns, config.turns_per_item)
