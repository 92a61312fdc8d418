"""A photo with boxes → samples: counting and grounding, asked in the words of the embedded world.

Coordinates are whole pixels of the smart-resized photo (MiMo-VL §2.2.3). A class of which an object was dropped is not
asked about in that photo, nor is the total: the right answer would be a guess.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mimovl.curate.readers.voc import VocPhoto
from mimovl.errors import DataError
from mimovl.picture import smart_resize
from mimovl.types import Gold, Media, Message, Part, Sample

__all__ = ["VocQuestion", "build_questions", "load_media", "plural", "to_heldout_samples", "to_training_samples"]

_MAX_TURNS = 12
"""Questions in one conversation; a photo of many classes makes several conversations."""

_IRREGULAR = {
    "person": "people", "man": "men", "woman": "women", "child": "children", "mouse": "mice", "goose": "geese",
    "foot": "feet", "tooth": "teeth", "knife": "knives", "leaf": "leaves", "shelf": "shelves", "wolf": "wolves",
    "bus": "buses", "lens": "lenses", "sheep": "sheep", "fish": "fish", "deer": "deer", "aircraft": "aircraft",
}  # fmt: skip


@dataclass(frozen=True)
class VocQuestion:
    """One question about a photo, its answer as the model should write it, and its gold."""

    task: str
    question: str
    answer: str
    gold: Gold


def plural(noun: str) -> str:
    """English plural of a class name; a name that already ends in one s (``platelets``) is taken for one."""
    head, _, last = noun.rpartition(" ")
    if last in _IRREGULAR:
        last = _IRREGULAR[last]
    elif last.endswith(("ss", "x", "z", "ch", "sh")):
        last += "es"
    elif last.endswith("y") and last[-2:-1] not in ("", *"aeiou"):
        last = last[:-1] + "ies"
    elif not last.endswith("s"):
        last += "s"
    return f"{head} {last}" if head else last


def build_questions(
    photo: VocPhoto, *, names: Mapping[str, str], max_pixels: int = 4096 * 28 * 28
) -> tuple[VocQuestion, ...]:
    """All that can be asked of a photo: how many of each class and in total, and where they are.

    Args:
        photo: A photo with checked boxes.
        names: What to call a class, by its lower-cased name in the XML; a class that is missing keeps that name.
        max_pixels: Bound of smart-resize; the model must read the photos with the same.
    """
    height, width = smart_resize(photo.height, photo.width, max_pixels=max_pixels)
    boxes: dict[str, list[list[int]]] = {}
    for thing in photo.objects:
        box = _resized(thing.box, (photo.width, photo.height), (width, height))
        boxes.setdefault(_label(thing.name, names), []).append(box)
    doubtful = {_label(name, names) for name in photo.doubtful}
    questions: list[VocQuestion] = []
    for label, found in sorted(boxes.items()):
        if label in doubtful or "" in doubtful:
            continue
        found.sort(key=lambda box: (box[1], box[0]))
        many = plural(label)
        answer = json.dumps([{"bbox_2d": b, "label": label} for b in found], ensure_ascii=False, separators=(",", ":"))
        questions.append(_count(f"How many {many} are there?", len(found)))
        if len(found) == 1:
            question = f"Where is the {label}? Give its box."
            questions.append(VocQuestion("grounding", question, answer, Gold("box", found[0])))
        else:
            questions.append(VocQuestion("multi_grounding", f"Find all {many}.", answer, Gold("box", found)))
    if not doubtful:
        questions.append(_count("How many objects are there?", len(photo.objects)))
    return tuple(questions)


def load_media(photo: VocPhoto) -> Media:
    """The photo's own bytes.

    Raises:
        DataError: The file went away or changed since it was checked.
    """
    try:
        data = photo.path.read_bytes()
    except OSError as error:
        raise DataError(f"{photo.path} can no longer be read: {error.strerror}") from None
    if hashlib.sha256(data).hexdigest() != photo.sha256:
        raise DataError(f"{photo.path} changed while it was being imported; import again")
    return Media(photo.sha256, "image", data, photo.width, photo.height)


def to_training_samples(
    photo: VocPhoto, media: Media, questions: Sequence[VocQuestion], *, source: str, seed: int
) -> list[Sample]:
    """Conversations of at most 12 turns without thinking, so that one encoding of the photo pays for many answers.

    The order of the questions is drawn from ``seed`` and the photo's name; ``meta["golds"]`` of a photo's first one
    holds the right answer to each question, for baselines that need the training data's distribution.
    """
    from mimovl.data.chat_template import NO_THINK, think  # torch comes with it, which readers do without

    order = random.Random(f"{seed}:{photo.name}").sample(list(questions), len(questions))
    golds = {one.question: {"kind": one.gold.kind, "answer": one.gold.answer} for one in questions}
    samples = []
    for start in range(0, len(order), _MAX_TURNS):
        messages: list[Message] = []
        for number, one in enumerate(order[start : start + _MAX_TURNS]):
            messages.append(_user(one.question + NO_THINK, media if number == 0 else None))
            messages.append(Message("assistant", (Part("text", think("", one.answer)),)))
        samples.append(
            Sample(
                id=f"{source}/{photo.name}/{start // _MAX_TURNS}",
                messages=tuple(messages),
                media={media.sha256: media},
                task=order[start].task,
                source=source,
                meta={"scene": photo.name, **({} if start else {"golds": golds})},
            )
        )
    return samples


def to_heldout_samples(photo: VocPhoto, media: Media, questions: Sequence[VocQuestion], *, source: str) -> list[Sample]:
    """One sample a question, ending with the user's turn, with its gold."""
    return [
        Sample(
            id=f"{source}/{photo.name}#{number}",
            messages=(_user(one.question, media),),
            media={media.sha256: media},
            task=one.task,
            source=source,
            gold=one.gold,
            meta={"scene": photo.name},
        )
        for number, one in enumerate(questions)
    ]


def _count(question: str, answer: int) -> VocQuestion:
    return VocQuestion("counting", question, str(answer), Gold("count", answer))


def _user(text: str, media: Media | None) -> Message:
    shown = (Part("image", media=media.sha256),) if media else ()
    return Message("user", (*shown, Part("text", text)))


def _label(name: str, names: Mapping[str, str]) -> str:
    return names.get(name.lower(), name.lower())


def _resized(box: tuple[float, float, float, float], old: tuple[int, int], new: tuple[int, int]) -> list[int]:
    """A box in whole pixels of the resized photo, at least one pixel wide and high; ``old``, ``new`` as (w, h)."""
    x1, y1 = (min(round(box[axis] * new[axis] / old[axis]), new[axis] - 1) for axis in (0, 1))
    x2, y2 = (min(round(box[axis + 2] * new[axis] / old[axis]), new[axis]) for axis in (0, 1))
    return [x1, y1, max(x2, x1 + 1), max(y2, y1 + 1)]
