"""A folder of photos with Pascal-VOC boxes → DATASET/train and DATASET/heldout.

    mimovl import voc photos/ --out runs/bccd/data --heldout 50 --name RBC="red blood cell"

Photos that look alike (64-bit perceptual hashes at most 8 bits apart; re-encoded, resized, brightened copies) always go
to the same side, so nothing is seen in training that is asked afterwards.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mimovl.atomic import AtomicDirectory
from mimovl.curate.readers.voc import IMAGE_SUFFIXES, VocPhoto, find_files, read_photo
from mimovl.curate.readers.voc_samples import (
    VocQuestion,
    build_questions,
    load_media,
    to_heldout_samples,
    to_training_samples,
)
from mimovl.errors import DataError, UsageError
from mimovl.store import DatasetWriter, Drop
from mimovl.suggest import nearest

__all__ = ["ImportSummary", "import_voc", "look_alikes"]

LOOK_ALIKE_BITS = 8
"""Photos whose hashes differ in at most so many of 64 bits count as the same: all re-encoded and brightened copies
do, different photos rarely; the closest two of 304 microscope photos of one kind differ in 14."""


@dataclass
class ImportSummary:
    """What an import made and left out."""

    path: Path
    photos: dict[str, int] = field(default_factory=dict)
    """Photos on each side."""
    samples: dict[str, int] = field(default_factory=dict)
    """Samples on each side."""
    classes: dict[str, int] = field(default_factory=dict)
    """Objects of each class, by the name used in the questions."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Photos and objects left out, by reason."""
    notes: dict[str, int] = field(default_factory=dict)
    """What was mended: boxes clipped at the border, sizes believed from the header."""

    def __str__(self) -> str:
        lines = [
            f"{self.path}/{side}: {self.photos[side]} photos, {self.samples[side]} samples" for side in self.photos
        ]
        for title, counts in (("objects", self.classes), ("dropped", self.dropped), ("mended", self.notes)):
            lines.append(f"{title}: " + (", ".join(f"{name} {n}" for name, n in counts.items() if n) or "none"))
        return "\n".join(lines)


@dataclass(frozen=True)
class _Item:
    photo: VocPhoto
    questions: tuple[VocQuestion, ...]
    drops: tuple[Drop, ...]


def import_voc(
    directory: Path | str,
    out: Path | str,
    *,
    heldout: int | None = None,
    split: Path | str | None = None,
    seed: int = 0,
    names: Mapping[str, str] | None = None,
    max_pixels: int = 4096 * 28 * 28,
    source: str = "voc",
    progress: Callable[[int, int], None] | None = None,
) -> ImportSummary:
    """Read ``directory``, split its photos and write ``out/train`` (conversations) and ``out/heldout`` (questions).

    Args:
        directory: Photos and their XML files; see ``readers.voc`` for the layouts.
        out: Folder to make; it appears only when all is written.
        heldout: Number of photos to hold out, drawn from ``seed``; a tenth where neither this nor ``split`` is given.
        split: A text file naming the photos to hold out, one a line.
        seed: Draws the held-out photos and the order of the training questions.
        names: What to call a class in the questions, e.g. ``{"RBC": "red blood cell"}``.
        max_pixels: Bound of smart-resize; the model must read the photos with the same.
        source: ``Sample.source``, by which mixtures weigh.
        progress: Called with (photos read, photos in all).

    Raises:
        DataError: A missing folder, a folder without any usable photo, or held-out names that are not in it.
        UsageError: ``out`` exists, the number to hold out is impossible, or a renamed class does not occur.
    """
    if heldout is not None and split is not None:
        raise UsageError("give either a number of photos to hold out or a split file, not both")
    wanted = _read_split(Path(split)) if split is not None else None
    files = find_files(directory)
    with AtomicDirectory(out) as target:
        drops: list[Drop] = [
            Drop(image.stem, "missing_annotation", f"no {image.stem}.xml for {image.name}")
            for image in files.lone_images
        ]
        read: list[tuple[VocPhoto, list[Drop]]] = []
        for number, (annotation, image) in enumerate(files.pairs, 1):
            photo, found = read_photo(annotation, image)
            if photo is None:
                drops += found
            else:
                read.append((photo, found))
            if progress:
                progress(number, len(files.pairs))
        renames = _check_names(names or {}, [photo for photo, _ in read])
        items = _ask(read, renames, max_pixels, drops)
        if not items:
            reasons = ", ".join(f"{reason} {n}" for reason, n in Counter(drop.reason for drop in drops).items())
            raise DataError(f"{directory} has no usable photo among {len(files.pairs)} annotations ({reasons})")
        if wanted is None:
            sides = _draw(items, heldout, seed)
        else:
            sides = _follow(items, wanted, drops, Path(split or ""))
        notes: dict[str, Any] = {
            "reader": "voc",
            "seed": seed,
            "max_pixels": max_pixels,
            "clipped_boxes": sum(item.photo.num_clipped for side in sides.values() for item in side),
            "sizes_from_header": sum(item.photo.size_from_header for side in sides.values() for item in side),
        }
        summary = ImportSummary(Path(out), notes={key: notes[key] for key in ("clipped_boxes", "sizes_from_header")})
        for side, chosen in sides.items():
            with DatasetWriter(target.temporary / side) as writer:
                writer.notes |= notes
                for drop in drops if side == "train" else ():
                    writer.drop(drop.id, drop.reason, drop.detail)
                for item in chosen:
                    _write(writer, item, side, source, seed)
            summary.photos[side] = len(chosen)
            summary.samples[side] = writer.close()["counts"]["kept"]
        every = drops + [drop for side in sides.values() for item in side for drop in item.drops]
        summary.dropped = dict(sorted(Counter(drop.reason for drop in every).items()))
        classes: Counter[str] = Counter()
        for item in (item for side in sides.values() for item in side):
            classes.update(renames.get(thing.name.lower(), thing.name.lower()) for thing in item.photo.objects)
        summary.classes = dict(classes.most_common())
    return summary


def look_alikes(hashes: Sequence[int], max_bits: int = LOOK_ALIKE_BITS) -> list[int]:
    """For each 64-bit hash the number of its group; chains of hashes at most ``max_bits`` apart are one group."""
    values = np.array(hashes, dtype=np.uint64)
    group = list(range(len(hashes)))

    def root(index: int) -> int:
        while group[index] != index:
            group[index] = group[group[index]]
            index = group[index]
        return index

    for index in range(len(values) - 1):
        near = np.flatnonzero(np.bitwise_count(values[index + 1 :] ^ values[index]) <= max_bits)
        for other in near.tolist():
            group[root(index + 1 + other)] = root(index)
    return [root(index) for index in range(len(hashes))]


def _ask(
    read: list[tuple[VocPhoto, list[Drop]]], names: Mapping[str, str], max_pixels: int, drops: list[Drop]
) -> list[_Item]:
    """Photos with their questions; those without any, and copies of an earlier file, go to ``drops``."""
    items: list[_Item] = []
    seen: dict[str, str] = {}
    for photo, found in read:
        questions = build_questions(photo, names=names, max_pixels=max_pixels)
        first = seen.setdefault(photo.sha256, photo.name)
        if first != photo.name:
            drops += [*found, Drop(photo.name, "duplicate_photo", f"the same file as {first}")]
        elif not questions:
            drops += [*found, Drop(photo.name, "nothing_to_ask", "every class in it has a dropped object")]
        else:
            items.append(_Item(photo, questions, tuple(found)))
    return items


def _draw(items: list[_Item], heldout: int | None, seed: int) -> dict[str, list[_Item]]:
    """Hold out ``heldout`` photos, whole groups of look-alikes at a time, in an order drawn from ``seed``."""
    if heldout is None:
        heldout = max(1, round(len(items) / 10)) if len(items) > 1 else 0
    if not 0 <= heldout < len(items):
        raise UsageError(f"{heldout} photos to hold out of {len(items)}; choose 0 to {len(items) - 1}")
    groups: dict[int, list[int]] = {}
    for index, number in enumerate(look_alikes([item.photo.phash for item in items])):
        groups.setdefault(number, []).append(index)

    def order(group: list[int]) -> str:
        return min(hashlib.sha256(f"{seed}:{items[index].photo.name}".encode()).hexdigest() for index in group)

    chosen: set[int] = set()
    for group in sorted(groups.values(), key=order):
        if len(chosen) + len(group) <= heldout:
            chosen.update(group)
    return {
        "train": [item for index, item in enumerate(items) if index not in chosen],
        "heldout": [item for index, item in enumerate(items) if index in chosen],
    }


def _follow(items: list[_Item], wanted: set[str], drops: list[Drop], split: Path) -> dict[str, list[_Item]]:
    """Hold out the named photos and drop training photos that look like one of them."""
    known = {item.photo.name for item in items} | {drop.id for drop in drops}
    unknown = sorted(wanted - known)
    if unknown:
        listed = ", ".join(unknown[:5]) + (", …" if len(unknown) > 5 else "")
        raise DataError(f"{split} names {len(unknown)} of {len(wanted)} photos that are not in the folder: {listed}")
    groups = look_alikes([item.photo.phash for item in items])
    twins = {group: item.photo.name for item, group in zip(items, groups, strict=True) if item.photo.name in wanted}
    sides: dict[str, list[_Item]] = {"train": [], "heldout": []}
    for item, group in zip(items, groups, strict=True):
        if item.photo.name in wanted:
            sides["heldout"].append(item)
        elif group in twins:
            drops += [*item.drops, Drop(item.photo.name, "same_as_heldout", f"looks like {twins[group]}")]
        else:
            sides["train"].append(item)
    return sides


def _write(writer: DatasetWriter, item: _Item, side: str, source: str, seed: int) -> None:
    for drop in item.drops:
        writer.drop(drop.id, drop.reason, drop.detail)
    media = load_media(item.photo)
    if side == "train":
        samples = to_training_samples(item.photo, media, item.questions, source=source, seed=seed)
    else:
        samples = to_heldout_samples(item.photo, media, item.questions, source=source)
    for sample in samples:
        writer.add(sample)


def _check_names(names: Mapping[str, str], photos: list[VocPhoto]) -> dict[str, str]:
    """Renames by lower-cased class name.

    Raises:
        UsageError: A renamed class does not occur, or gets an empty name.
    """
    classes = sorted({thing.name for photo in photos for thing in photo.objects})
    known = {name.lower() for name in classes}
    for name, label in names.items():
        if photos and name.lower() not in known:
            hint = nearest(name, classes) or f"; the classes are {', '.join(classes)}"
            raise UsageError(f"no object is of the class {name!r}{hint}")
        if not label.strip():
            raise UsageError(f"the class {name!r} needs a name to be called by")
    return {name.lower(): " ".join(label.split()) for name, label in names.items()}


def _read_split(path: Path) -> set[str]:
    """Names of photos, the first word of each line, with or without folder and suffix."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: the split file cannot be read ({error})") from None
    words = (line.split()[0] for line in lines if line.strip())
    paths = [Path(word) for word in words]
    names = {path.stem if path.suffix.lower() in {*IMAGE_SUFFIXES, ".xml"} else path.name for path in paths}
    if not names:
        raise UsageError(f"{path} names no photo; write one name a line")
    return names
