import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimovl.curate.world import WorldConfig
from mimovl.curate.world.language import Kind
from mimovl.curate.world.scene import annotate, coarse_place, describe, draw_scene, lay_out, render
from mimovl.errors import DataError

CONFIG = WorldConfig(texture_share=0.0)


def scene_of(seed: int, **wanted: object):
    return draw_scene(random.Random(seed), CONFIG, lambda key: True, **wanted)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32))
def test_objects_lie_inside_and_apart(seed: int) -> None:
    scene = scene_of(seed)
    assert scene.width in CONFIG.picture_sides and scene.height in CONFIG.picture_sides
    assert 1 <= len(scene.objects) <= 6
    for index, thing in enumerate(scene.objects):
        x1, y1, x2, y2 = thing.box
        assert 0 <= x1 < x2 <= scene.width and 0 <= y1 < y2 <= scene.height
        assert thing.place == coarse_place(*thing.centre, scene.width, scene.height)
        for other in scene.objects[index + 1 :]:
            assert x2 < other.box[0] or other.box[2] < x1 or y2 < other.box[1] or other.box[3] < y1


def test_boxes_equal_the_ink_within_one_pixel() -> None:
    for seed in range(60):
        scene = scene_of(seed)
        pixels = np.asarray(render(random.Random(seed), scene, CONFIG), dtype=int)
        corner = pixels[0, 0]  # the background is plain and no object touches the corner
        inked = np.abs(pixels - corner).sum(axis=-1) > 60
        for thing in scene.objects:
            x1, y1, x2, y2 = thing.box
            region = inked[max(0, y1 - 2) : y2 + 2, max(0, x1 - 2) : x2 + 2]
            rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
            left, top = max(0, x1 - 2), max(0, y1 - 2)
            ink = (left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1)
            assert np.abs(np.subtract(ink, thing.box)).max() <= 1, (seed, thing)


def test_sizes_are_told_apart() -> None:
    sides = {"small": [], "large": []}
    for seed in range(80):
        for thing in scene_of(seed).objects:
            sides[thing.size].append(max(thing.box[2] - thing.box[0], thing.box[3] - thing.box[1]))
    assert max(sides["small"]) + 4 <= min(sides["large"])


def test_repeated_kinds_are_common() -> None:
    scenes = [scene_of(seed, counts=(4, 4)) for seed in range(100)]
    repeated = [scene for scene in scenes if len({thing.kind for thing in scene.objects}) < 4]
    assert 15 <= len(repeated) <= 60


def test_wanted_kinds_are_all_there() -> None:
    scene = lay_out(random.Random(3), CONFIG, [Kind("star", "red")] * 6)
    assert len(scene.all_of(Kind("star", "red"))) == 6


def test_key_does_not_depend_on_pixels_but_on_what_is_where() -> None:
    scene = scene_of(5)
    assert scene.key.startswith(f"scene {scene.width}x{scene.height}: ")
    for thing in scene.objects:
        assert f"{thing.size} {thing.colour} {thing.shape} @ {thing.place}" in scene.key


def test_description_and_annotations_hold_every_object() -> None:
    scene = scene_of(8, counts=(5, 5))
    text = describe(scene, "en")
    assert text.startswith(f"picture {scene.width}x{scene.height}: ")
    for thing, annotation in zip(scene.objects, annotate(scene), strict=True):
        box = ",".join(map(str, thing.box))
        assert f"{thing.size} {thing.colour} {thing.shape} {thing.place} [{box}]" in text
        assert annotation.box == thing.box and annotation.frames is None
        assert annotation.attributes == {
            "kind": "shape",
            "shape": thing.shape,
            "colour": thing.colour,
            "size": thing.size,
            "place": thing.place,
        }


def test_too_many_objects_are_an_error_and_not_an_endless_loop() -> None:
    with pytest.raises(DataError, match="no room for 60 objects"):
        lay_out(random.Random(0), CONFIG, [Kind("star", "red")] * 60, sides=(56,))
