"""Referring expressions: phrases that fit exactly one object of a scene.

Four families: by attributes (``red circle``), by place (``object at the top left``), by an extreme
(``leftmost circle``) and by a relation (``circle below the blue star``). Relations are read both strictly
(clearly so) and loosely (arguably so); a phrase is used only if one object fits loosely and it fits strictly.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import product

from mimovl.curate.world.language import Kind, noun, place_phrase, say
from mimovl.curate.world.scene import Scene, SceneObject

__all__ = ["RELATIONS", "by_attributes", "only_related", "refer", "relation_words"]

_STRICT = 8.0
_LOOSE = -3.0

RELATIONS: dict[str, tuple[int, int]] = {"left of": (0, -1), "right of": (0, 1), "above": (1, -1), "below": (1, 1)}
"""Relation → axis (0 = x) and sign along it."""
_EXTREMES = {"left of": "leftmost", "right of": "rightmost", "above": "topmost", "below": "lowest"}
_CHINESE_EXTREMES = {"left of": "最左边", "right of": "最右边", "above": "最上面", "below": "最下面"}
_CHINESE_RELATIONS = {"left of": "左侧", "right of": "右侧", "above": "上侧", "below": "下侧"}


def refer(rng: random.Random, scene: Scene, target: SceneObject, language: str, *, hide: Iterable[str] = ()) -> str:
    """A phrase without its article that fits only ``target``; empty if none was found.

    Args:
        rng: Where chance comes from.
        scene: The scene.
        target: One of its objects.
        language: ``en`` or ``zh``.
        hide: Attributes the phrase must not give away: shape, colour, size, place.
    """
    hidden = frozenset(hide)
    families = [by_attributes(scene, target, language, hidden)] * 3
    if "place" not in hidden:
        families.append(_by_place(scene, target, language))
        families.append(_by_extreme(scene, target, language, hidden))
        families.append(_by_relation(scene, target, language, hidden))
    filled = [family for family in families if family]
    return rng.choice(rng.choice(filled)) if filled else ""


def by_attributes(scene: Scene, target: SceneObject, language: str, hidden: frozenset[str] = frozenset()) -> list[str]:
    """The shortest unique phrases of size, colour and shape, and ``red circle`` whenever that is unique."""
    unique = [kind for kind in _kinds(target, hidden) if len(scene.all_of(kind)) == 1]
    shortest = min((kind.num_named for kind in unique), default=0)
    return [noun(kind, language) for kind in unique if kind.num_named == shortest or kind == target.kind]


def only_related(scene: Scene, anchor: SceneObject, relation: str, kind: Kind) -> SceneObject | None:
    """The one object of ``kind`` that stands in ``relation`` to ``anchor``; None if there is none or doubt."""
    loose = [
        thing for thing in scene.all_of(kind) if thing is not anchor and _distance(thing, anchor, relation) > _LOOSE
    ]
    if len(loose) != 1:
        return None
    return loose[0] if _distance(loose[0], anchor, relation) >= _STRICT else None


def relation_words(relation: str, anchor: str, language: str) -> str:
    """``left of the red circle``, 红色圆形左侧."""
    return f"{anchor}{_CHINESE_RELATIONS[relation]}" if language == "zh" else f"{relation} the {anchor}"


def _kinds(target: SceneObject, hidden: frozenset[str]) -> list[Kind]:
    """All ways to name some attributes of an object, the bare ``object`` left out."""
    choices = [
        ("",) if name in hidden else ("", value)
        for name, value in (("shape", target.shape), ("colour", target.colour), ("size", target.size))
    ]
    return [Kind(*values) for values in product(*choices) if any(values)]


def _distance(thing: SceneObject, anchor: SceneObject, relation: str) -> float:
    axis, sign = RELATIONS[relation]
    return sign * (thing.centre[axis] - anchor.centre[axis])


def _by_place(scene: Scene, target: SceneObject, language: str) -> list[str]:
    if sum(thing.place == target.place for thing in scene.objects) > 1:
        return []
    if language == "zh":
        return [f"{say(target.place, language)}的物体"]
    return [f"object {place_phrase(target.place, language)}"]


def _crowds(scene: Scene, target: SceneObject, hidden: frozenset[str]) -> list[Kind]:
    """Plain kinds the target shares with others: ``object``, ``circle``, ``red object``."""
    kinds = [Kind()]
    if "shape" not in hidden:
        kinds.append(Kind(shape=target.shape))
    if "colour" not in hidden:
        kinds.append(Kind(colour=target.colour))
    return [kind for kind in kinds if len(scene.all_of(kind)) >= 2]


def _by_extreme(scene: Scene, target: SceneObject, language: str, hidden: frozenset[str]) -> list[str]:
    phrases = []
    for kind, relation in product(_crowds(scene, target, hidden), RELATIONS):
        others = [thing for thing in scene.all_of(kind) if thing is not target]
        if all(_distance(target, thing, relation) >= _STRICT for thing in others):
            name = noun(kind, language)
            phrases.append(
                f"{_CHINESE_EXTREMES[relation]}的{name}" if language == "zh" else f"{_EXTREMES[relation]} {name}"
            )
    return phrases


def _by_relation(scene: Scene, target: SceneObject, language: str, hidden: frozenset[str]) -> list[str]:
    phrases = []
    crowds = _crowds(scene, target, hidden)
    for anchor in scene.objects:
        if anchor is target or len(scene.all_of(anchor.kind)) > 1:
            continue
        for kind, relation in product(crowds, RELATIONS):
            if only_related(scene, anchor, relation, kind) is target:
                words = relation_words(relation, noun(anchor.kind, language), language)
                name = noun(kind, language)
                phrases.append(f"{words}的{name}" if language == "zh" else f"{name} {words}")
    return phrases
