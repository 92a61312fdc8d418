"""Referring expressions, read back by an independent parser of the English phrases."""

import random
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from mimovl.curate.world import WorldConfig
from mimovl.curate.world.language import COLOURS, SHAPES, SIZES, Kind
from mimovl.curate.world.refer import RELATIONS, only_related, refer
from mimovl.curate.world.scene import Scene, SceneObject, draw_scene

CONFIG = WorldConfig()


def scene_of(seed: int) -> Scene:
    return draw_scene(random.Random(seed), CONFIG, lambda key: True)


def listeners_choice(scene: Scene, phrase: str) -> list[SceneObject]:
    """All objects a listener could take a phrase for."""
    relation = re.fullmatch(r"(.+) (left of|right of|above|below) the (.+)", phrase)
    if relation:
        anchors = listeners_choice(scene, relation[3])
        assert len(anchors) == 1, phrase
        x, y = anchors[0].centre
        stands = {
            "left of": lambda thing: thing.centre[0] < x,
            "right of": lambda thing: thing.centre[0] > x,
            "above": lambda thing: thing.centre[1] < y,
            "below": lambda thing: thing.centre[1] > y,
        }[relation[2]]
        return [t for t in listeners_choice(scene, relation[1]) if t is not anchors[0] and stands(t)]
    place = re.fullmatch(r"object (?:at|in) the (.+)", phrase)
    if place:
        return [thing for thing in scene.objects if thing.place == place[1]]
    words = phrase.split()
    extreme = words.pop(0) if words[0] in ("leftmost", "rightmost", "topmost", "lowest") else ""
    found = []
    for thing in scene.objects:
        named = [word for word in words if word != "object"]
        assert set(named) <= {*COLOURS, *SHAPES, *SIZES}, phrase
        if set(named) <= {thing.colour, thing.shape, thing.size}:
            found.append(thing)
    if extreme:
        axis, sign = {"leftmost": (0, 1), "rightmost": (0, -1), "topmost": (1, 1), "lowest": (1, -1)}[extreme]
        return [min(found, key=lambda thing: sign * thing.centre[axis])]
    return found


@settings(max_examples=150)
@given(seed=st.integers(0, 2**32))
def test_every_phrase_fits_exactly_its_object(seed: int) -> None:
    scene = scene_of(seed)
    rng = random.Random(seed)
    for thing in scene.objects:
        for hide in ((), ("colour",), ("shape",), ("size",), ("place",)):
            phrase = refer(rng, scene, thing, "en", hide=hide)
            if phrase:
                assert listeners_choice(scene, phrase) == [thing], phrase


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32))
def test_hidden_attributes_are_not_given_away(seed: int) -> None:
    scene = scene_of(seed)
    for thing in scene.objects:
        for hide, value in (("colour", thing.colour), ("shape", thing.shape), ("size", thing.size)):
            phrase = refer(random.Random(seed), scene, thing, "en", hide=(hide,))
            described = phrase.split(" left of ")[0].split(" right of ")[0].split(" above ")[0].split(" below ")[0]
            assert value not in described.split()


def test_repeated_objects_are_told_apart_by_relation_or_extreme() -> None:
    phrases = []
    for seed in range(200):
        scene = scene_of(seed)
        phrases += [refer(random.Random(seed), scene, thing, "en") for thing in scene.objects]
    related = sum(bool(re.search(r" (left of|right of|above|below) ", phrase)) for phrase in phrases)
    extreme = sum(bool(re.match(r"leftmost|rightmost|topmost|lowest", phrase)) for phrase in phrases)
    assert related > 0.05 * len(phrases) and extreme > 0.05 * len(phrases)
    assert sum(not phrase for phrase in phrases) < 0.1 * len(phrases)


def test_doubtful_relations_are_not_used() -> None:
    def thing(shape: str, x: int, y: int) -> SceneObject:
        return SceneObject(shape, "red", "small", 16, (x, y, x + 16, y + 16), "centre")

    star, near, far = thing("star", 60, 60), thing("circle", 55, 10), thing("circle", 10, 90)
    assert only_related(Scene(140, 140, (star, far)), star, "left of", Kind()) is far
    assert only_related(Scene(140, 140, (star, near)), star, "left of", Kind()) is None  # hardly left
    assert only_related(Scene(140, 140, (star, near, far)), star, "left of", Kind()) is None  # near may count too
    assert only_related(Scene(140, 140, (star, near, far)), star, "above", Kind("circle")) is near


def test_chinese_phrases_exist_for_every_family() -> None:
    phrases = []
    for seed in range(80):
        scene = scene_of(seed)
        phrases += [refer(random.Random(seed), scene, thing, "zh") for thing in scene.objects]
    text = " ".join(phrases)
    assert not re.search("[a-z]", text)
    for part in ("最左边的", "上侧的", "左上的物体", "圆形"):
        assert part in text
    assert set(RELATIONS) == {"left of", "right of", "above", "below"}
