"""Pairs of answers about the world, right and wrong, for reward models: the length of an answer tells nothing.

Every answer is dressed in words that say nothing ("red. I looked twice."), and both answers of a pair
draw their dress from the same wardrobe, so that of right and wrong ones the same share is the longer one. Beside these
``fair`` pairs there are two other sets:

    longer_wrong    the wrong answer is dressed longer than the right one: what a judge with a taste for length fails
    tie             one answer in two dresses, both right or both wrong: equally good whatever their length

A wrong answer is like the right one in kind: another colour, a box elsewhere, a number with as many digits, a caption
with one word changed. Ours; MiMo-VL's own pairs (§3.2) are ranked by a vision-language model.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mimovl.curate.world.config import WorldConfig
from mimovl.curate.world.items import Turn, WorldItem
from mimovl.curate.world.language import COLOURS, PLACES, SHAPES, SIZES

__all__ = ["PAIR_SETS", "AnswerPair", "PairSet", "answer_pair", "wrong_answer"]

PairSet = Literal["fair", "longer_wrong", "tie"]
PAIR_SETS: tuple[PairSet, ...] = ("fair", "longer_wrong", "tie")

_DRESSES = {
    "en": (
        "",
        "\nSure.",
        "\nI am sure.",
        "\nI looked twice.",
        "\nI looked twice and I am sure.",
        "\nI looked at all of it twice and I am sure of it.",
    ),
    "zh": (
        "",
        "\n对。",
        "\n我很确定。",
        "\n我看了两遍。",
        "\n我看了两遍，很确定。",
        "\n我全部都仔细看了两遍，很确定。",
    ),
}
"""What may follow an answer, from short to long."""
_WORDS: Sequence[Mapping[str, str]] = (COLOURS, SHAPES, SIZES, PLACES, {"yes": "是", "no": "否"})
_BOX_SIDE = 14
"""Least distance, in pixels, by which a moved box is off."""


@dataclass(frozen=True)
class AnswerPair:
    """Two answers to a question. In a tie neither is better, else the first is right and the second wrong."""

    turn: Turn
    first: str
    second: str
    set: PairSet


def answer_pair(
    rng: random.Random, item: WorldItem, turn: Turn, kind: PairSet, config: WorldConfig
) -> AnswerPair | None:
    """A pair of answers to one of an item's questions; None where there is no wrong answer of its kind.

    Args:
        rng: where chance comes from.
        item: what the question is about.
        turn: the question.
        kind: fair, longer_wrong or tie.
        config: of the world the item is of.
    """
    wrong = wrong_answer(rng, item, turn, config)
    if wrong is None:
        return None
    dresses = _DRESSES[turn.language]
    if kind == "tie":
        answer = turn.answer if rng.random() < 0.7 else wrong
        first, second = rng.sample(dresses, 2)
        return AnswerPair(turn, answer + first, answer + second, kind)
    first, second = rng.choice(dresses), rng.choice(dresses)
    while kind == "longer_wrong" and len(turn.answer + first) >= len(wrong + second):
        first, second = rng.choice(dresses), rng.choice(dresses)
    return AnswerPair(turn, turn.answer + first, wrong + second, kind)


def wrong_answer(rng: random.Random, item: WorldItem, turn: Turn, config: WorldConfig) -> str | None:
    """An answer like the right one that is wrong; None if the question is of another kind than is known here."""
    gold = turn.gold
    if gold is None:
        return None
    if gold.kind == "count":
        counts = [number for number in range(1, config.objects[1] + 1) if number != gold.answer]
        return str(rng.choice(counts)) if counts else None
    if gold.kind == "box" and isinstance(gold.answer[0], int):
        return _other_box(rng, item, turn.answer, gold.answer)
    if gold.kind == "number" and (found := re.search(r"\d+", turn.answer)):
        return turn.answer[: found.start()] + _other_number(rng, found[0]) + turn.answer[found.end() :]
    if gold.kind == "text" and turn.task in ("attributes", "caption"):
        return _other_word(rng, turn.answer, turn.language, gold.options.get("aliases", ()))
    return None


def _other_number(rng: random.Random, number: str) -> str:
    """One digit changed; as many digits as before."""
    place = rng.randrange(len(number))
    least = "1" if place == 0 and len(number) > 1 else "0"
    digits = [digit for digit in "0123456789" if digit >= least and digit != number[place]]
    return number[:place] + rng.choice(digits) + number[place + 1 :]


def _other_word(rng: random.Random, text: str, language: str, aliases: Sequence[str]) -> str | None:
    """One word of the world's vocabulary changed for another of its group."""
    groups = [list(group.values() if language == "zh" else group) for group in _WORDS]
    words = sorted((word for group in groups for word in group), key=len, reverse=True)
    edge = "" if language == "zh" else r"\b"
    found = list(re.finditer(edge + "(?:" + "|".join(map(re.escape, words)) + ")" + edge, text))
    rng.shuffle(found)
    for match in found:
        group = next(group for group in groups if match[0] in group)
        others = [word for word in group if word != match[0]]
        rng.shuffle(others)
        for other in others:
            changed = text[: match.start()] + other + text[match.end() :]
            if changed not in aliases:
                return changed
    return None


def _other_box(rng: random.Random, item: WorldItem, answer: str, gold: Sequence[int]) -> str | None:
    """The box of another object, or the same box elsewhere in the picture; its label stays."""
    [entry] = json.loads(answer)
    others: list[list[float]] = [list(note.box) for note in item.annotations if _apart(note.box, gold)]
    if item.image is not None and (not others or rng.random() < 0.4):
        width, height = gold[2] - gold[0], gold[3] - gold[1]
        moved: list[list[float]] = []
        for _ in range(20):
            x, y = (rng.randint(0, max(0, side)) for side in (item.image.width - width, item.image.height - height))
            moved.append([x, y, x + width, y + height])
        others = [box for box in moved if _apart(box, gold)][:1] or others
    if not others:
        return None
    box = [int(side) for side in rng.choice(others)]
    return json.dumps([{**entry, "bbox_2d": box}], ensure_ascii=False, separators=(",", ":"))


def _apart(box: Sequence[float], gold: Sequence[int]) -> bool:
    """Whether a box is clearly another one: its centre outside the gold box, or well off it."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    inside = gold[0] <= x <= gold[2] and gold[1] <= y <= gold[3]
    off = max(abs(one - two) for one, two in zip(box, gold, strict=True))
    return not inside and off >= _BOX_SIDE
