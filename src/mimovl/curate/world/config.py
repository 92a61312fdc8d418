"""What the embedded world draws: sizes, numbers of objects, shares. One section of a recipe."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from mimovl.recipe_model import RecipeModel

__all__ = ["SIDE_MULTIPLE", "WorldConfig"]

SIDE_MULTIPLE = 28
"""Sides are multiples of this, so that smart-resize is the identity and boxes are exact (patch 14 × merge 2)."""
MIN_LANE = 14
"""Narrowest lane of a clip, pixels."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Sides = Annotated[tuple[int, ...], Field(min_length=1)]
Span = tuple[int, int]


class WorldConfig(RecipeModel):
    """Sizes and shares of the embedded world. ``[a, b]`` means from a to b, both included."""

    chinese_share: Share = 0.06
    """Share of items whose questions and answers are Chinese (Chinese text in pictures needs a font)."""
    turns_per_item: int = Field(default=8, ge=1)
    """Most questions made about one picture."""

    picture_sides: Sides = (84, 112, 140)
    """Widths and heights of scenes, pixels."""
    objects: Span = (1, 6)
    """Fewest and most objects of a scene."""
    small_size: Span = (14, 20)
    """Side of a small object, pixels."""
    large_size: Span = (28, 40)
    """Side of a large object, pixels."""
    repeat_share: Share = 0.6
    """Share of scenes in which a shape, a colour or a kind is repeated on purpose."""
    dark_share: Share = 0.3
    """Share of pictures with a dark background."""
    texture_share: Share = 0.25
    """Share of pictures whose background has a gradient or faint noise."""

    gui_sides: Sides = (112, 140, 168)
    """Widths and heights of GUI pages, pixels."""
    gui_elements: Span = (3, 7)
    """Fewest and most elements of a GUI page, its title not counted."""
    gui_font: Span = (10, 12)
    """Font size on GUI pages, pixels."""

    ocr_widths: Sides = (112, 140, 168)
    """Widths of text pages, pixels."""
    ocr_heights: Sides = (56, 84, 112)
    """Heights of text pages, pixels."""
    ocr_lines: Span = (1, 3)
    """Fewest and most lines of a text page."""
    ocr_font: Span = (12, 18)
    """Font size on text pages, pixels."""

    clip_side: int = 56
    """Width and height of clip frames, pixels."""
    clip_seconds: Span = (6, 12)
    """Shortest and longest clip, whole seconds."""
    clip_event_seconds: Span = (1, 4)
    """Shortest and longest time an object is visible, whole seconds; varied, or one constant answer scores well."""
    clip_fps: int = 2
    """Frames per second of clips; even, so that two frames (one temporal patch) never straddle a second."""
    clip_objects: Span = (1, 3)
    """Fewest and most objects of a clip."""

    arithmetic_levels: dict[str, float] = {
        "add": 2.0,
        "subtract": 2.0,
        "multiply": 2.0,
        "two_step": 2.0,
        "word": 3.0,
    }
    """Weights of the kinds of problem: add, subtract, multiply, two_step, word (two-step, in words), chain (longer)."""
    arithmetic_digits: int = Field(default=2, ge=1, le=3)
    """Most digits of an operand (a product has one operand of one digit)."""
    arithmetic_chain: Span = (4, 6)
    """Fewest and most operations of a chain."""

    interleaved_sides: Sides = (56, 84)
    """Widths and heights of the pictures in interleaved documents, pixels."""
    interleaved_pictures: Span = (2, 3)
    """Fewest and most pictures of an interleaved document."""
    described_share: Share = 0.3
    """Share of plain-text documents that are textual descriptions of a picture or clip."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("picture_sides", "gui_sides", "ocr_widths", "ocr_heights", "interleaved_sides"):
            for side in getattr(self, name):
                _check_side(name, side)
        _check_side("clip_side", self.clip_side)
        for name in (
            "objects",
            "small_size",
            "large_size",
            "gui_elements",
            "gui_font",
            "ocr_lines",
            "ocr_font",
            "clip_seconds",
            "clip_event_seconds",
            "clip_objects",
            "interleaved_pictures",
            "arithmetic_chain",
        ):
            low, high = getattr(self, name)
            if not 1 <= low <= high:
                raise ValueError(f"{name} is [{low}, {high}]; give [fewest, most] with 1 <= fewest <= most")
        if self.small_size[1] >= self.large_size[0]:
            raise ValueError(
                f"small_size reaches {self.small_size[1]} and large_size starts at {self.large_size[0]}; leave a gap"
            )
        if self.clip_fps < 2 or self.clip_fps % 2:
            raise ValueError(f"clip_fps is {self.clip_fps}; make it even, a temporal patch is two frames")
        if self.clip_seconds[0] < 2:
            raise ValueError(f"clip_seconds starts at {self.clip_seconds[0]}; a span needs clips of at least 2 s")
        if self.clip_side // self.clip_objects[1] < MIN_LANE:
            raise ValueError(
                f"clip_objects allows {self.clip_objects[1]} in {self.clip_side} pixels; give each {MIN_LANE}"
            )
        known = {"add", "subtract", "multiply", "two_step", "word", "chain"}
        unknown = sorted(set(self.arithmetic_levels) - known)
        if unknown:
            raise ValueError(f"arithmetic_levels has unknown level {unknown[0]!r}; known: {', '.join(sorted(known))}")
        if not any(weight > 0 for weight in self.arithmetic_levels.values()):
            raise ValueError("arithmetic_levels gives no level a positive weight; raise one")
        return self


def _check_side(name: str, side: int) -> None:
    if side < 2 * SIDE_MULTIPLE or side % SIDE_MULTIPLE:
        raise ValueError(f"{name} has {side}; sides are multiples of {SIDE_MULTIPLE}, at least {2 * SIDE_MULTIPLE}")
