"""Clips: shapes that appear, vanish, move and change colour at whole seconds; when is each visible?"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from PIL import Image

from mimovl.curate.world.config import WorldConfig
from mimovl.curate.world.draw import background, shape_mask, shape_rgb
from mimovl.curate.world.items import Accept, Annotation, Turn, WorldItem, draw_accepted
from mimovl.curate.world.language import COLOURS, DIRECTIONS, SHAPES, Kind, Templates, noun, pick, say
from mimovl.curate.world.scene_turns import unique_turns
from mimovl.types import Gold

__all__ = ["build_clip"]

Box = tuple[int, int, int, int]

_QUESTIONS: Templates = {
    "span": {
        "en": ("When is the {x} visible?", "When can you see the {x}?"),
        "zh": ("{x}什么时候可见？",),
    },
    "first": {"en": ("What appears first?",), "zh": ("什么最先出现？",)},
    "last": {"en": ("What appears last?",), "zh": ("什么最后出现？",)},
    "direction": {"en": ("Which way does the {x} move?",), "zh": ("{x}往哪边移动？",)},
    "moves": {"en": ("Does the {x} move?",), "zh": ("{x}移动吗？",)},
    "turns": {"en": ("What colour does the {x} turn?",), "zh": ("{x}变成什么颜色？",)},
}


@dataclass(frozen=True)
class _Actor:
    """A shape visible in seconds [start, end). ``lane`` is its row or column, ``offset`` its place along it."""

    shape: str
    colour: str
    side: int
    start: int
    end: int
    lane: int
    offset: int
    direction: str = ""
    turns: str = ""
    """The colour it changes to half-way (at a whole second), or empty."""

    @property
    def change(self) -> int:
        """The second at which it changes colour."""
        return (self.start + self.end) // 2


@dataclass(frozen=True)
class _Clip:
    seconds: int
    rows: bool
    """Lanes are rows and movement is sideways; else columns, up and down."""
    actors: tuple[_Actor, ...]

    @property
    def key(self) -> str:
        parts = sorted(
            f"{a.colour} {a.shape} {a.start}-{a.end} {a.direction or 'still'} {a.turns}@{a.lane}" for a in self.actors
        )
        return f"clip {self.seconds}s {'rows' if self.rows else 'columns'}: " + "; ".join(parts)


def build_clip(rng: random.Random, config: WorldConfig, accept: Accept) -> WorldItem:
    """A clip of the wanted split with span questions and a few about what happens."""
    language = "zh" if rng.random() < config.chinese_share else "en"
    clip = draw_accepted(lambda: _draw_clip(rng, config), accept)
    return WorldItem(
        source="world/clip",
        key=clip.key,
        language=language,
        frames=_render(rng, clip, config),
        fps=float(config.clip_fps),
        turns=_turns(rng, clip, language, config),
        annotations=tuple(_annotate(clip, config)),
        description=_describe(clip, language),
    )


def _draw_clip(rng: random.Random, config: WorldConfig) -> _Clip:
    """One to three objects of different kinds in lanes of their own; the first is not always there."""
    seconds, rows = rng.randint(*config.clip_seconds), rng.random() < 0.5
    count = rng.randint(*config.clip_objects)
    lanes = rng.sample(range(max(3, count)), count)
    pitch = config.clip_side // max(3, count)
    actors: list[_Actor] = []
    while len(actors) < count:
        shape, colour = rng.choice(list(SHAPES)), rng.choice(list(COLOURS))
        if any((other.shape, other.colour) == (shape, colour) for other in actors):
            continue
        start, end = (0, seconds) if actors and rng.random() < 0.3 else _draw_span(rng, seconds, config)
        side = rng.randint(pitch - 5, pitch - 2)
        direction = turns = ""
        if end - start >= 2 and rng.random() < 0.4:
            direction = rng.choice(("left", "right") if rows else ("up", "down"))
        alone = shape not in {other.shape for other in actors}
        if alone and end - start >= 2 and rng.random() < 0.25:
            turns = rng.choice([other for other in COLOURS if other != colour])
        actors.append(
            _Actor(
                shape, colour, side, start, end, lanes[len(actors)], rng.randint(1, config.clip_side - side - 3),
                direction, turns,
            )
        )  # fmt: skip
    return _Clip(seconds, rows, tuple(actors))


def _draw_span(rng: random.Random, seconds: int, config: WorldConfig) -> tuple[int, int]:
    """A span of whole seconds, shorter than the clip, its length and then its start uniform."""
    low, high = config.clip_event_seconds
    length = rng.randint(min(low, seconds - 1), min(high, seconds - 1))
    start = rng.randint(0, seconds - length)
    return start, start + length


def _box(clip: _Clip, actor: _Actor, frame: int, config: WorldConfig) -> Box:
    """Where an actor is at a frame; a mover crosses the picture once, evenly, while it is visible."""
    mask = shape_mask(actor.shape, actor.side)
    pitch = config.clip_side // max(3, len(clip.actors))
    across = actor.lane * pitch + 1
    along = actor.offset
    if actor.direction:
        first, last = actor.start * config.clip_fps, actor.end * config.clip_fps - 1
        done = (frame - first) / (last - first)
        if actor.direction in ("left", "up"):
            done = 1 - done
        along = 1 + round(done * (config.clip_side - actor.side - 3))
    x, y = (along, across) if clip.rows else (across, along)
    return (x, y, x + mask.width, y + mask.height)


def _visible(actor: _Actor, frame: int, fps: int) -> bool:
    return actor.start * fps <= frame < actor.end * fps


def _render(rng: random.Random, clip: _Clip, config: WorldConfig) -> tuple[Image.Image, ...]:
    """The frames, mode RGB.

    The corner pixel alternates by one level: Pillow's animated-PNG writer would merge equal neighbours into
    one longer frame.
    """
    side, fps = config.clip_side, config.clip_fps
    page = background(rng, side, side, dark_share=config.dark_share, texture_share=0.0)
    red, green, blue = (int(level) for level in np.asarray(page)[0, 0])
    shades = [
        (shape_rgb(rng, actor.colour), shape_rgb(rng, actor.turns) if actor.turns else None) for actor in clip.actors
    ]
    frames = []
    for frame in range(clip.seconds * fps):
        image = page.copy()
        for actor, (shade, later) in zip(clip.actors, shades, strict=True):
            if _visible(actor, frame, fps):
                changed = later is not None and frame >= actor.change * fps
                box = _box(clip, actor, frame, config)
                image.paste(later if changed and later else shade, box[:2], shape_mask(actor.shape, actor.side))
        if frame % 2:
            image.putpixel((0, 0), (red, green, blue ^ 1))
        frames.append(image)
    return tuple(frames)


def _annotate(clip: _Clip, config: WorldConfig) -> list[Annotation]:
    """One annotation an object and stretch of frames at the same box and colour (movers: one a second)."""
    fps, found = config.clip_fps, []
    for actor in clip.actors:
        for second in range(actor.start, actor.end):
            colour = actor.turns if actor.turns and second >= actor.change else actor.colour
            boxes = [_box(clip, actor, frame, config) for frame in range(second * fps, (second + 1) * fps)]
            box = tuple(sum(values) / fps for values in zip(*boxes, strict=True))
            found.append(
                Annotation(
                    (box[0], box[1], box[2], box[3]),
                    {"kind": "shape", "shape": actor.shape, "colour": colour, "size": "small"},
                    (second * fps, (second + 1) * fps),
                )
            )
    return found


def _clock(second: int) -> str:
    """``mm:ss``."""
    return f"{second // 60:02d}:{second % 60:02d}"


def _name(clip: _Clip, actor: _Actor) -> Kind:
    """What to call an actor: its shape alone if it changes colour, else colour and shape."""
    return Kind(shape=actor.shape) if actor.turns else Kind(shape=actor.shape, colour=actor.colour)


def _turns(rng: random.Random, clip: _Clip, language: str, config: WorldConfig) -> tuple[Turn, ...]:
    turns: list[Turn] = []

    def add(task: str, name: str, subject: str, answer: str, thought: str, gold: Gold) -> None:
        turns.append(Turn(task, pick(rng, _QUESTIONS, name, language, x=subject), answer, thought, gold, language))

    counts = [actor.shape for actor in clip.actors]
    for actor in clip.actors:
        if actor.turns and counts.count(actor.shape) > 1:
            continue
        name, span = noun(_name(clip, actor), language), f"{actor.start}-{actor.end}"
        if (actor.start, actor.end) != (0, clip.seconds):
            answer = f"[{_clock(actor.start)},{_clock(actor.end)}]"
            add("clip_span", "span", name, answer, span, Gold("span", [float(actor.start), float(actor.end)]))
        if actor.direction:
            answer = say(actor.direction, language) if language == "en" else DIRECTIONS[actor.direction]
            add("clip_events", "direction", name, answer, span, Gold("text", answer))
        if rng.random() < (0.65 if actor.direction else 0.28):
            answer = say("yes" if actor.direction else "no", language)
            add("clip_events", "moves", name, answer, span, Gold("text", answer))
        if actor.turns:
            answer = say(actor.turns, language)
            thought = f"{say(actor.colour, language)} {actor.start}, {answer} {actor.change}"
            add("clip_events", "turns", name, answer, thought, Gold("text", answer))
    if len(clip.actors) > 1:
        order = sorted(clip.actors, key=lambda actor: actor.start)
        thought = ", ".join(f"{noun(_name(clip, actor), language)} {actor.start}" for actor in clip.actors)
        for asked, one, other in (("first", order[0], order[1]), ("last", order[-1], order[-2])):
            if one.start != other.start and not one.turns:
                answer = noun(_name(clip, one), language)
                add("clip_events", asked, "", answer, thought, Gold("text", answer))
    rng.shuffle(turns)
    turns.sort(key=lambda turn: turn.task != "clip_span")
    return unique_turns(turns, config.turns_per_item)


def _describe(clip: _Clip, language: str) -> str:
    parts = []
    for actor in clip.actors:
        words = [noun(Kind(shape=actor.shape, colour=actor.colour), language), f"{actor.start}-{actor.end}"]
        if actor.direction:
            moved = f"往{DIRECTIONS[actor.direction]}移动" if language == "zh" else f"moves {actor.direction}"
            words.append(moved)
        if actor.turns:
            colour = say(actor.turns, language)
            words.append(f"{actor.change}变{colour}" if language == "zh" else f"turns {colour} at {actor.change}")
        parts.append(" ".join(words))
    return f"{'视频' if language == 'zh' else 'clip'} {clip.seconds}s: " + "; ".join(parts)
