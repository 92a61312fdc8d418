"""The words for what can be seen, in English and Chinese."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = [
    "COLOURS",
    "DIRECTIONS",
    "PLACES",
    "SHAPES",
    "SIZES",
    "Kind",
    "Templates",
    "join",
    "noun",
    "pick",
    "place_phrase",
    "say",
    "with_article",
]

Templates = Mapping[str, Mapping[str, Sequence[str]]]
"""Question name → language → phrasings."""

COLOURS = {"red": "红色", "green": "绿色", "blue": "蓝色", "yellow": "黄色", "purple": "紫色", "orange": "橙色"}
SHAPES = {"circle": "圆形", "square": "方形", "triangle": "三角形", "star": "星形", "cross": "十字形"}
SIZES = {"large": "大", "small": "小"}
PLACES = {
    "top left": "左上",
    "top": "上方",
    "top right": "右上",
    "left": "左边",
    "centre": "中间",
    "right": "右边",
    "bottom left": "左下",
    "bottom": "下方",
    "bottom right": "右下",
}
"""In reading order, row by row."""
DIRECTIONS = {"left": "左", "right": "右", "up": "上", "down": "下"}
_OTHER = {"object": "物体", "yes": "是", "no": "否"}
_PLURALS = {"cross": "crosses"}
_CHINESE = {**COLOURS, **SHAPES, **PLACES, **_OTHER, "large": "大", "small": "小"}


@dataclass(frozen=True)
class Kind:
    """A class of objects; an empty field matches anything."""

    shape: str = ""
    colour: str = ""
    size: str = ""

    @property
    def num_named(self) -> int:
        """How many attributes it names."""
        return bool(self.shape) + bool(self.colour) + bool(self.size)

    def covers(self, other: Kind) -> bool:
        """True if every ``other`` is one of these."""
        return self.shape in ("", other.shape) and self.colour in ("", other.colour) and self.size in ("", other.size)


def say(word: str, language: str) -> str:
    """A word of the world's vocabulary in ``language``."""
    return _CHINESE[word] if language == "zh" else word


def noun(kind: Kind, language: str, *, plural: bool = False) -> str:
    """``large red circle``, ``red objects``, 红色圆形."""
    words = [kind.size, kind.colour, kind.shape or "object"]
    if language == "zh":
        return "".join(_CHINESE[word] for word in words if word)
    if plural:
        words[-1] = _PLURALS.get(words[-1], words[-1] + "s")
    return " ".join(word for word in words if word)


def with_article(words: str, language: str) -> str:
    """``an orange star``; Chinese needs none."""
    if language == "zh":
        return words
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def place_phrase(place: str, language: str) -> str:
    """``at the top left``, ``in the centre``, 在左上."""
    if language == "zh":
        return f"在{PLACES[place]}"
    return f"in the {place}" if place == "centre" else f"at the {place}"


def join(parts: Sequence[str], language: str) -> str:
    """A list in a sentence: ``a, b and c``."""
    if language == "zh":
        return "，".join(parts)
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def pick(rng: random.Random, templates: Templates, name: str, language: str, **values: object) -> str:
    """One of a question's phrasings, filled in."""
    return rng.choice(templates[name][language]).format(**values)
