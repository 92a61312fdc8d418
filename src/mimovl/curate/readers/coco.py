"""COCO annotations (instances, captions, or both) as pictures with objects, see ``objects``.

Boxes are x, y, width, height there. Crowds make their class doubtful: how many stand in one is not said. Reasons of
drops, besides those of ``media`` and ``objects``: nothing_annotated, no_file_name. A broken box is no record of its
own: it is named in ``meta["dropped_objects"]``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from mimovl.curate.readers.media import MediaReader
from mimovl.curate.readers.objects import box_problem, objects_record
from mimovl.curate.step import Dropped, Unit
from mimovl.errors import DataError, MediaError
from mimovl.types import Sample

__all__ = ["Coco"]


@dataclass
class _Picture:
    """A picture as the annotations know it."""

    id: Any
    file: Any
    objects: list[tuple[Any, Any, bool]] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)


class Coco(MediaReader):
    """A folder of pictures and COCO's JSON."""

    reader: Literal["coco"] = "coco"
    """COCO annotations."""
    annotations: tuple[str, ...] = Field(min_length=1)
    """Its JSON files: instances, captions, or both of the same pictures."""
    images: str
    """Folder of the pictures."""
    source: str = "coco"
    """``Sample.source``."""
    unit_items: int = Field(default=128, ge=1)
    """Pictures that a worker reads at a time."""

    def units(self) -> list[Unit]:
        """So many pictures each, in the order of the first file."""
        count = len(_pictures(self.annotations))
        if not count:
            raise DataError(f"{self.annotations[0]} names no picture")
        starts = range(0, count, self.unit_items)
        return [Unit(f"{self.source}#{s:09d}", (s, min(s + self.unit_items, count)), self.unit_items) for s in starts]

    def read(self, unit: Unit) -> Iterator[tuple[str, Sample | Dropped]]:
        """The pictures, each named by its id."""
        begin, end = unit.where
        for picture in _pictures(self.annotations)[begin:end]:
            name = f"{self.source}/{picture.id}"
            yield name, self._record(name, picture)

    def _record(self, name: str, picture: _Picture) -> Sample | Dropped:
        if not isinstance(picture.file, str) or not picture.file:
            return Dropped("no_file_name", f"the file of picture {picture.id} is {str(picture.file)[:80]}")
        if not picture.objects and not picture.captions:
            return Dropped("nothing_annotated", f"{picture.file} has neither objects nor captions")
        try:
            media = self.picture(picture.file, Path(self.images), name)
        except MediaError as error:
            return Dropped(error.reason, str(error))
        objects, doubtful, dropped = [], [], []
        for label, written, crowd in picture.objects:
            box = _box(written)
            problem = box_problem(str(label or ""), box, media.width, media.height)
            if crowd or problem is not None or box is None:
                doubtful.append(str(label or ""))
                if problem is not None:
                    dropped.append(f"{problem[0]}: {label or 'object'}, {problem[1]}")
                continue
            x1, y1, x2, y2 = box
            clipped = (max(x1, 0.0), max(y1, 0.0), min(x2, float(media.width)), min(y2, float(media.height)))
            objects.append((str(label), clipped))
        meta = {"dropped_objects": dropped} if dropped else {}
        return objects_record(name, media, objects, doubtful, source=self.source, texts=picture.captions, meta=meta)


@lru_cache(maxsize=1)
def _pictures(files: tuple[str, ...]) -> list[_Picture]:
    """The pictures of all files, in the order of the first.

    Raises:
        DataError: a file cannot be read as COCO's JSON.
    """
    pictures: dict[Any, _Picture] = {}
    for file in files:
        try:
            whole = json.loads(Path(file).read_bytes())
            classes = {entry["id"]: entry["name"] for entry in whole.get("categories", ())}
            for entry in whole["images"]:
                pictures.setdefault(entry["id"], _Picture(entry["id"], entry.get("file_name")))
            for entry in whole.get("annotations", ()):
                picture = pictures.get(entry.get("image_id"))
                if picture is None:
                    continue
                if isinstance(entry.get("caption"), str):
                    picture.captions.append(entry["caption"].strip())
                if "bbox" in entry or "category_id" in entry:
                    label = classes.get(entry.get("category_id"))
                    picture.objects.append((label, entry.get("bbox"), bool(entry.get("iscrowd"))))
        except OSError as error:
            raise DataError(f"{file}: cannot be read ({error.strerror}); give COCO's JSON files") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DataError(f"{file}: not COCO's JSON ({type(error).__name__}: {error})") from None
    return list(pictures.values())


def _box(written: Any) -> tuple[float, float, float, float] | None:
    if not isinstance(written, list) or len(written) != 4:
        return None
    try:
        x, y, width, height = map(float, written)
    except (TypeError, ValueError, OverflowError):
        return None
    return x, y, x + width, y + height
