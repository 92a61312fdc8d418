"""The steps of grounding: ``check_boxes`` keeps the boxes that can be believed, ``ground`` asks where things are.

    steps:
      - {step: check_boxes, form: xywh}
      - {step: ground, negative_share: 0.2, classes: [person, dog, cup]}

Records are pictures with ``meta["objects"]``: a list of ``{"label": "cup", "box": [x1, y1, x2, y2]}``, in pixels of the
upright picture (or as ``form`` says), each perhaps with ``"attributes": {"colour": "red"}``. ``meta["doubtful"]`` names
classes of which an object could not be used, ``""`` standing for any: their number is not known, and they are not asked
about.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from mimovl.curate.conversations import Ask, to_samples
from mimovl.curate.grounding.check import Limits, check_boxes
from mimovl.curate.grounding.convert import Box, Form, read_box, resized
from mimovl.curate.grounding.expression import Thing
from mimovl.curate.grounding.questions import Picture, grounding_questions
from mimovl.curate.step import Apply, Dropped, Result, Step, Tools
from mimovl.errors import DataError, MediaError
from mimovl.types import Media, Sample

__all__ = ["CheckBoxes", "Ground"]

Share = Annotated[float, Field(ge=0.0, le=1.0)]
_DEFAULT = Limits()
_SANE = Limits(least_side=0.0, most_area=1.0, same=1.0)
"""What was not checked before must at least be a box in the picture."""


class CheckBoxes(Step):
    """Reject bad boxes by reason; a picture of which none is left is dropped."""

    step: Literal["check_boxes"] = "check_boxes"
    """Keep the boxes that can be believed."""
    form: Form = "xyxy"
    """How boxes are written: xyxy, xywh, cxcywh, unit (0-1), thousandths, yxyx_thousandths, voc or polygon."""
    overhang: float = Field(default=_DEFAULT.overhang, ge=0)
    """Pixels a box may reach over the border, where it is cut."""
    least_side: float = Field(default=_DEFAULT.least_side, ge=0)
    """Shortest side of a box, pixels."""
    most_area: float = Field(default=_DEFAULT.most_area, gt=0, le=1)
    """Largest share of the picture that a box may cover."""
    same: float = Field(default=_DEFAULT.same, gt=0, le=1)
    """Overlap (IoU) from which two boxes of a class are one object annotated twice."""

    def open(self, tools: Tools) -> Apply:
        """Nothing to get ready."""
        limits = Limits(self.overhang, self.least_side, self.most_area, self.same)
        return lambda batch: [_checked(sample, self.form, limits) for sample in batch]


class Ground(Step):
    """Grounding questions about pictures with objects, in English and Chinese."""

    step: Literal["ground"] = "ground"
    """Ask where things are."""
    ask: Ask = "training"
    """``training``: conversations with answers; ``questions``: single questions with gold."""
    turns: int = Field(default=6, ge=1)
    """Most questions about a picture."""
    chinese_share: Share = 0.3
    """Share of pictures that are asked about in Chinese; what has no Chinese name is asked about in English."""
    negative_share: Share = 0.15
    """Share of questions about what is not there."""
    complex_share: Share = 0.5
    """Share of expressions that are as long as the picture allows, with order, size and relations."""
    classes: tuple[str, ...] = ()
    """Classes that the data set annotates wherever they are, so that a missing one is known not to be there."""
    names: dict[str, dict[str, str]] = {}
    """What to call classes and attributes: {RBC: {en: red blood cell, zh: 红细胞}}."""
    max_pixels: int = Field(default=4096 * 28 * 28, ge=56 * 56)
    """Bound of smart-resize; the model must read the pictures with the same."""

    def open(self, tools: Tools) -> Apply:
        """Nothing to get ready."""
        return lambda batch: [self._ground(sample, tools.seed) for sample in batch]

    def _ground(self, sample: Sample, seed: int) -> Result:
        media = _only_picture(sample)
        if media is None:
            return Dropped("not_one_picture", f"{len(sample.media)} pictures or clips")
        doubtful = set(sample.meta.get("doubtful", ()))
        if "" in doubtful:
            return Dropped("doubtful_objects", "an object of an unknown class could not be used")
        try:
            things, bad = _things(sample, media)
            doubtful |= bad
            things = [thing for thing in things if thing.label not in doubtful]
            new_size = resized((media.width, media.height), self.max_pixels)
        except MediaError as error:
            return Dropped(error.reason, str(error))
        except DataError as error:
            return Dropped("unreadable_box", f"{error}; run check_boxes before")
        shown = {thing.label for thing in things} | doubtful
        missing = tuple(label for label in self.classes if label not in shown)
        picture = Picture(tuple(things), (media.width, media.height), new_size, missing)
        rng = random.Random(f"{seed}:{sample.id}")
        languages = ("zh", "en") if rng.random() < self.chinese_share else ("en",)
        for language in languages:
            questions = grounding_questions(
                rng,
                picture,
                language,
                limit=self.turns,
                negative_share=self.negative_share,
                complex_share=self.complex_share,
                names=self.names,
            )
            if questions:
                return list(
                    to_samples(
                        f"{sample.id}/grounding",
                        media,
                        questions,
                        ask=self.ask,
                        source=sample.source,
                        language=language,
                        max_turns=self.turns,
                        meta=sample.meta,
                    )
                )
        return Dropped("nothing_to_ground", f"{len(things)} usable objects, and nothing that means one of them alone")


def _checked(sample: Sample, form: Form, limits: Limits) -> Result:
    media = _only_picture(sample)
    if media is None:
        return Dropped("not_one_picture", f"{len(sample.media)} pictures or clips")
    size = (media.width, media.height)
    written = sample.meta.get("objects")
    entries: list[Any] = list(written) if isinstance(written, Sequence) and not isinstance(written, str) else []
    if not entries:
        return Dropped("no_objects", "no object is annotated")
    objects = [_read(entry, form, size) for entry in entries]
    kept, dropped = [], list(sample.meta.get("dropped_objects", ()))
    doubtful = set(sample.meta.get("doubtful", ()))
    results = check_boxes(objects, size, limits)
    reasons = []
    for entry, (label, _), result in zip(entries, objects, results, strict=True):
        if len(result) == 4:
            extra = {"attributes": entry["attributes"]} if entry.get("attributes") else {}
            kept.append({"label": label, "box": [round(side, 3) for side in result], **extra})
            continue
        reason, detail = result
        reasons.append(reason)
        dropped.append(f"{reason}: {label}: {detail}")
        if reason != "duplicate_box":  # of a class with a bad box the number is not known
            doubtful.add(label)
    if not kept:
        return Dropped(reasons[0], "; ".join(dropped)[:400])
    meta = {**sample.meta, "objects": kept, "doubtful": sorted(doubtful), "size": list(size)}
    if dropped:
        meta["dropped_objects"] = dropped
    return Sample(
        sample.id,
        sample.messages,
        sample.media,
        sample.task,
        sample.source,
        sample.language,
        sample.gold,
        meta,
    )


def _read(entry: Any, form: Form, size: tuple[int, int]) -> tuple[str, Box | None]:
    """Label and box of an annotation; None where the box cannot be read."""
    if not isinstance(entry, Mapping):
        return "", None
    label = " ".join(str(entry.get("label") or "").split())
    try:
        return label, read_box(entry.get("box"), form, size)
    except DataError:
        return label, None


def _things(sample: Sample, media: Media) -> tuple[list[Thing], set[str]]:
    """The objects of a record, and the classes of those that are no box in the picture: ``check_boxes`` was left out.

    Raises:
        DataError: one has no box of four numbers.
    """
    size = (media.width, media.height)
    things, bad = [], set()
    entries = [entry for entry in sample.meta.get("objects", ()) if isinstance(entry, Mapping)]
    objects = [(str(entry.get("label", "")), read_box(entry.get("box"), "xyxy", size)) for entry in entries]
    for entry, (label, _), result in zip(entries, objects, check_boxes(objects, size, _SANE), strict=True):
        if len(result) != 4:
            bad |= {label} if result[0] != "duplicate_box" else set()
            continue
        attributes = entry.get("attributes") or {}
        things.append(
            Thing(label, result, tuple((str(name), str(value)) for name, value in sorted(attributes.items())))
        )
    return things, bad


def _only_picture(sample: Sample) -> Media | None:
    media = list(sample.media.values())
    return media[0] if len(media) == 1 and media[0].kind == "image" else None
