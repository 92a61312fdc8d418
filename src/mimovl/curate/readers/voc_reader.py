"""Pascal-VOC folders as pictures with objects, see ``objects``; layouts and reasons of drops are those of ``voc``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from mimovl.curate.readers.objects import objects_record
from mimovl.curate.readers.voc import find_files, read_photo
from mimovl.curate.readers.voc_samples import load_media
from mimovl.curate.step import Dropped, Reader, Unit
from mimovl.types import Sample

__all__ = ["Voc"]


class Voc(Reader):
    """Photos and their XML files."""

    reader: Literal["voc"] = "voc"
    """Pascal-VOC annotations."""
    path: str
    """Folder of the photos and XML files, or of their two folders."""
    source: str = "voc"
    """``Sample.source``."""
    unit_files: int = Field(default=32, ge=1)
    """Photos that a worker reads at a time."""

    def units(self) -> list[Unit]:
        """So many photos each, in order of their names; photos without an annotation last."""
        files = find_files(self.path)
        pairs = [(str(xml), str(photo) if photo else "") for xml, photo in files.pairs]
        pairs += [("", str(photo)) for photo in files.lone_images]
        units = []
        for start in range(0, len(pairs), self.unit_files):
            some = tuple(pairs[start : start + self.unit_files])
            units.append(Unit(f"{self.source}#{start:09d}", some, len(some)))
        return units

    def read(self, unit: Unit) -> Iterator[tuple[str, Sample | Dropped]]:
        """The photos, each named by its file; objects that cannot be used are named in ``meta``."""
        for xml, file in unit.where:
            name = f"{self.source}/{Path(xml or file).stem}"
            if not xml:
                yield name, Dropped("missing_annotation", f"no XML file stands beside {Path(file).name}")
                continue
            photo, drops = read_photo(Path(xml), Path(file) if file else None)
            if photo is None:
                yield name, Dropped(drops[-1].reason, drops[-1].detail)
                continue
            media = load_media(photo)
            objects = [(thing.name, thing.box) for thing in photo.objects]
            meta = {"dropped_objects": [f"{drop.reason}: {drop.detail}" for drop in drops]} if drops else {}
            yield name, objects_record(name, media, objects, photo.doubtful, source=self.source, meta=meta)
