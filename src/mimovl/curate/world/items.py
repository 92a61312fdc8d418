"""What the world is made of (items, turns, annotations) and which side of the split an item is on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from PIL import Image

from mimovl.errors import DataError
from mimovl.types import Gold

__all__ = [
    "HELDOUT_MODULUS",
    "KEY_SEPARATOR",
    "Accept",
    "Annotation",
    "Split",
    "Turn",
    "WorldItem",
    "draw_accepted",
    "is_heldout",
    "key_hash",
    "split_of",
]

HELDOUT_MODULUS = 16
"""One key in this many is held out."""
KEY_SEPARATOR = " || "
"""Between the keys of an item made of several scenes, which all lie on the same side of the split."""

Split = Literal["train", "heldout"]
Accept = Callable[[str], bool]
"""Says whether a key lies in the wanted split."""


@dataclass(frozen=True)
class Turn:
    """One question with its answer. ``thought`` is what goes between the think tags, ``gold`` None if ungraded."""

    task: str
    question: str
    answer: str
    thought: str
    gold: Gold | None
    language: str


@dataclass(frozen=True)
class Annotation:
    """Something to see: its tight box (x1, y1, x2, y2; right and bottom exclusive), pixels, and what it is.

    ``frames`` are the [first, last) frames of a clip in which it is at that box; None for a picture.
    """

    box: tuple[float, float, float, float]
    attributes: dict[str, str]
    frames: tuple[int, int] | None = None


@dataclass
class WorldItem:
    """A generated picture, clip, document or problem with its questions."""

    source: str
    key: str
    """Canonical content; decides the split. Two items that show the same thing have the same key."""
    language: str = "en"
    image: Image.Image | None = None
    frames: tuple[Image.Image, ...] = ()
    fps: float = 0.0
    turns: tuple[Turn, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    description: str = ""
    """The picture or clip in words: holds everything the turns ask about."""
    document: tuple[str | Image.Image, ...] = ()
    """Pieces of an interleaved or plain-text document in order, else empty."""
    id: str = ""
    """Source, split, seed and index; set by ``build_item``."""


class Keyed(Protocol):
    """Anything with a canonical key."""

    @property
    def key(self) -> str:
        """Canonical content."""
        ...


KeyedT = TypeVar("KeyedT", bound=Keyed)


def key_hash(key: str) -> str:
    """Sixteen hexadecimal digits that name a key, the same on every machine."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def is_heldout(key: str) -> bool:
    """True for the one key in ``HELDOUT_MODULUS`` that only the held-out split may show."""
    return int(key_hash(key), 16) % HELDOUT_MODULUS == 0


def split_of(key: str) -> Split:
    """The split of an item's key; every part of a composite key lies on the same side."""
    sides = {is_heldout(part) for part in key.split(KEY_SEPARATOR)}
    assert len(sides) == 1, f"a composite key mixes splits: {key}"
    return "heldout" if sides.pop() else "train"


def draw_accepted(draw: Callable[[], KeyedT], accept: Accept) -> KeyedT:
    """Draw until the key falls in the wanted split (16 draws on average for held-out).

    Raises:
        DataError: The world's section allows so few items that none is of the wanted split.
    """
    for _ in range(10_000):
        drawn = draw()
        if accept(drawn.key):
            return drawn
    raise DataError(
        "10,000 draws of the embedded world gave nothing for the wanted split; allow it more different items"
    )
