"""Pictures with annotated objects → conversations: how many there are, and where, in the words of the embedded world.

    read:
      - {reader: voc, path: photos/}
    steps:
      - {step: ask_objects, names: {RBC: red blood cell}}

Takes the records of the readers ``voc`` and ``coco`` (``meta["objects"]``, see ``readers/objects``); coordinates of the
answers are whole pixels of the smart-resized picture (MiMo-VL §2.2.3). Reasons of drops: no_objects, nothing_to_ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from mimovl.curate.readers.voc import VocObject, VocPhoto
from mimovl.curate.readers.voc_samples import build_questions, to_training_samples
from mimovl.curate.step import Apply, Dropped, Result, Step, Tools
from mimovl.types import Sample

__all__ = ["AskObjects"]


class AskObjects(Step):
    """Counting and grounding conversations of a picture's objects."""

    step: Literal["ask_objects"] = "ask_objects"
    """Ask how many objects there are and where."""
    names: dict[str, str] = {}
    """What to call a class in the questions, by its label."""
    max_pixels: int = 4096 * 28 * 28
    """Bound of smart-resize; the model must read the pictures with the same."""

    def open(self, tools: Tools) -> Apply:
        """Nothing to get ready."""
        return lambda batch: [self._asked(sample, tools.seed) for sample in batch]

    def _asked(self, sample: Sample, seed: int) -> Result:
        objects = sample.meta.get("objects")
        media = next(iter(sample.media.values()), None)
        if not objects or media is None:
            return Dropped("no_objects")
        photo = VocPhoto(
            name=sample.id.removeprefix(f"{sample.source}/"),
            path=Path(),
            width=media.width,
            height=media.height,
            objects=tuple(VocObject(one["label"], _box(one)) for one in objects),
            doubtful=frozenset(sample.meta.get("doubtful", ())),
            num_clipped=0,
            size_from_header=False,
            sha256=media.sha256,
            phash=0,
        )
        names = {label.lower(): name for label, name in self.names.items()}
        questions = build_questions(photo, names=names, max_pixels=self.max_pixels)
        if not questions:
            return Dropped("nothing_to_ask", "every class in it has an object that could not be used")
        return to_training_samples(photo, media, questions, source=sample.source, seed=seed)


def _box(thing: Mapping[str, Any]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = thing["box"]
    return x1, y1, x2, y2
