"""Scenes: coloured shapes on a plain background, with exact boxes.

Source of the idea: CLEVR (Johnson et al. 2017) in two dimensions. Objects never overlap, lie fully inside,
and keep their centres away from the borders of the 3 × 3 coarse places, so that every place word is clear.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from mimovl.curate.world.config import WorldConfig
from mimovl.curate.world.draw import background, shape_mask, shape_rgb
from mimovl.curate.world.items import Accept, Annotation, draw_accepted
from mimovl.curate.world.language import COLOURS, PLACES, SHAPES, Kind, noun, say
from mimovl.errors import DataError

__all__ = [
    "Scene",
    "SceneObject",
    "annotate",
    "coarse_place",
    "describe",
    "draw_scene",
    "lay_out",
    "random_kinds",
    "render",
]

_PLACE_NAMES = tuple(PLACES)
_GAP = 3
_EDGE = 2
_PLACE_MARGIN = 2.0

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class SceneObject:
    """One shape. ``box`` is tight: right and bottom are exclusive."""

    shape: str
    colour: str
    size: str
    side: int
    box: Box
    place: str

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the box."""
        return ((self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2)

    @property
    def kind(self) -> Kind:
        """Its colour and shape."""
        return Kind(shape=self.shape, colour=self.colour)

    @property
    def full_kind(self) -> Kind:
        """Its size, colour and shape."""
        return Kind(shape=self.shape, colour=self.colour, size=self.size)

    def matches(self, kind: Kind) -> bool:
        """True if it is one of ``kind``."""
        return kind.shape in ("", self.shape) and kind.colour in ("", self.colour) and kind.size in ("", self.size)


@dataclass(frozen=True)
class Scene:
    """A picture's size and its objects in reading order (by coarse place, then top to bottom)."""

    width: int
    height: int
    objects: tuple[SceneObject, ...]

    @property
    def key(self) -> str:
        """Size, and the sorted objects with attributes and coarse places."""
        parts = sorted(f"{thing.size} {thing.colour} {thing.shape} @ {thing.place}" for thing in self.objects)
        return f"scene {self.width}x{self.height}: " + "; ".join(parts)

    def all_of(self, kind: Kind) -> list[SceneObject]:
        """The objects of one kind, in reading order."""
        return [thing for thing in self.objects if thing.matches(kind)]


def random_kinds(rng: random.Random, count: int, repeat_share: float) -> list[Kind]:
    """Colours and shapes of ``count`` objects, often with a repeated shape, colour or kind."""
    kinds = [Kind(shape=rng.choice(list(SHAPES)), colour=rng.choice(list(COLOURS))) for _ in range(count)]
    if count >= 2 and rng.random() < repeat_share:
        model = kinds[0]
        mode = rng.choice(("shape", "colour", "kind"))
        for index in range(1, rng.randint(2, count)):
            kinds[index] = Kind(
                shape=kinds[index].shape if mode == "colour" else model.shape,
                colour=kinds[index].colour if mode == "shape" else model.colour,
            )
    return kinds


def draw_scene(
    rng: random.Random,
    config: WorldConfig,
    accept: Accept,
    *,
    sides: Sequence[int] = (),
    counts: tuple[int, int] | None = None,
) -> Scene:
    """A scene of the wanted split.

    Args:
        rng: Where chance comes from.
        config: Sizes and shares.
        accept: Says whether a key lies in the wanted split.
        sides: Widths and heights to choose from; the config's when empty.
        counts: Fewest and most objects; the config's when None.

    Raises:
        DataError: So many objects never fit into such pictures.
    """

    def draw() -> Scene:
        number = rng.randint(*(counts or config.objects))
        return lay_out(rng, config, random_kinds(rng, number, config.repeat_share), sides)

    return draw_accepted(draw, accept)


def lay_out(rng: random.Random, config: WorldConfig, kinds: Sequence[Kind], sides: Sequence[int] = ()) -> Scene:
    """Objects of given colours and shapes at random places, in a picture of random size.

    Raises:
        DataError: So many objects never fit into such pictures.
    """
    for attempt in range(1000):
        width, height = rng.choice(sides or config.picture_sides), rng.choice(sides or config.picture_sides)
        # After each failure large objects become rarer.
        scene = _place(rng, config, width, height, kinds, large_share=0.5 * 0.9**attempt)
        if scene is not None:
            return scene
    raise DataError(
        f"no room for {len(kinds)} objects in a picture of {width}x{height}; lower the world's objects or its sizes"
    )


def _place(
    rng: random.Random, config: WorldConfig, width: int, height: int, kinds: Sequence[Kind], large_share: float
) -> Scene | None:
    """Put objects at random free positions, the large ones first; None if one does not fit."""
    sized = []
    for kind in kinds:
        size = "large" if rng.random() < large_share else "small"
        side = rng.randint(*(config.large_size if size == "large" else config.small_size))
        sized.append((min(side, min(width, height) // 2), size, kind))
    sized.sort(key=lambda entry: -entry[0])
    placed: list[SceneObject] = []
    for side, size, kind in sized:
        wide, high = shape_mask(kind.shape, side).size
        for _ in range(30):
            x = rng.randint(_EDGE, width - wide - _EDGE)
            y = rng.randint(_EDGE, height - high - _EDGE)
            place = _clear_place(x + wide / 2, y + high / 2, width, height)
            if place and all(
                x >= other.box[2] + _GAP
                or other.box[0] >= x + wide + _GAP
                or y >= other.box[3] + _GAP
                or other.box[1] >= y + high + _GAP
                for other in placed
            ):
                placed.append(SceneObject(kind.shape, kind.colour, size, side, (x, y, x + wide, y + high), place))
                break
        else:
            return None
    placed.sort(key=lambda thing: (_PLACE_NAMES.index(thing.place), thing.box[1], thing.box[0]))
    return Scene(width, height, tuple(placed))


def coarse_place(x: float, y: float, width: int, height: int) -> str:
    """The name of the cell of the 3 × 3 grid that a point lies in."""
    return _PLACE_NAMES[min(2, int(3 * y / height)) * 3 + min(2, int(3 * x / width))]


def _clear_place(x: float, y: float, width: int, height: int) -> str:
    """The coarse place of a centre; empty if too near a border between two places."""
    for position, length in ((x, width), (y, height)):
        if min(abs(position - length / 3), abs(position - 2 * length / 3)) < _PLACE_MARGIN:
            return ""
    return coarse_place(x, y, width, height)


def render(rng: random.Random, scene: Scene, config: WorldConfig) -> Image.Image:
    """The picture of a scene, mode RGB."""
    image = background(rng, scene.width, scene.height, dark_share=config.dark_share, texture_share=config.texture_share)
    for thing in scene.objects:
        image.paste(shape_rgb(rng, thing.colour), thing.box[:2], shape_mask(thing.shape, thing.side))
    return image


def annotate(scene: Scene) -> tuple[Annotation, ...]:
    """One annotation an object."""
    return tuple(
        Annotation(
            box=thing.box,
            attributes={
                "kind": "shape",
                "shape": thing.shape,
                "colour": thing.colour,
                "size": thing.size,
                "place": thing.place,
            },
        )
        for thing in scene.objects
    )


def describe(scene: Scene, language: str) -> str:
    """The scene in words, e.g. ``picture 112x84: large red circle top left [10,20,50,60]``."""
    parts = [
        f"{noun(thing.full_kind, language)} {say(thing.place, language)} [{','.join(map(str, thing.box))}]"
        for thing in scene.objects
    ]
    name = "图片" if language == "zh" else "picture"
    return f"{name} {scene.width}x{scene.height}: " + "; ".join(parts)
