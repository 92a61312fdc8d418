"""Take out of a training set what a benchmark asks about: its pictures in any orientation, and its questions.

    audit = decontaminate(dataset, items, "out")     out/data, out/audit.json, out/audit.html

A picture is a benchmark's when both hashes say so in one of the eight orientations (``near_duplicates``; pages and
screens must look alike as well), a text when it contains a question (``ngrams``). The training set is left as it is; a
copy without the leaks is written, each leak listed among its drops with the item it came from. What could not be
decoded is not hashed, stays in, and is counted.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from mimovl.atomic import AtomicDirectory
from mimovl.curate.audit_page import Shown, write_page
from mimovl.curate.benchmark_items import BenchmarkItem
from mimovl.curate.near_duplicates import matches
from mimovl.curate.ngrams import NgramIndex
from mimovl.curate.phash import HASH_NAMES
from mimovl.curate.signature import Signatures, sign
from mimovl.errors import UsageError
from mimovl.store import Dataset, DatasetWriter

__all__ = ["Audit", "Leak", "Probes", "decontaminate"]

_CHUNK = 1 << 14
"""Training pictures signed at a time: 64 MB where all are pages."""
_SHOWN = 60
"""Leaks shown of each benchmark; all are in audit.json."""
ORIENTATIONS = range(8)


@dataclass(frozen=True)
class Leak:
    """A training sample that holds something of a benchmark."""

    sample: str
    benchmark: str
    item: str
    kind: str
    """image or text"""
    detail: str
    media: str = ""
    """Key of the training picture."""
    picture: int = -1
    """Number of the benchmark's picture."""


@dataclass
class Audit:
    """What was found."""

    samples: int
    kept: int = 0
    leaks: list[Leak] = field(default_factory=list)
    items: dict[str, int] = field(default_factory=dict)
    """Items of each benchmark."""
    pictures: dict[str, int] = field(default_factory=dict)
    """Pictures of each benchmark that could be hashed."""
    unread: dict[str, int] = field(default_factory=dict)
    """Pictures and clips that could not be hashed, by side and reason."""

    def __str__(self) -> str:
        lines = [f"{self.kept:,} of {self.samples:,} samples kept, {self.samples - self.kept:,} dropped"]
        for name, count in self.items.items():
            leaks = [leak for leak in self.leaks if leak.benchmark == name]
            kinds = Counter(leak.kind for leak in leaks)
            lines.append(
                f"  {name}: {count:,} items, {self.pictures[name]:,} pictures; {len({leak.item for leak in leaks}):,} "
                f"items leaked ({kinds['image']:,} matches by picture, {kinds['text']:,} by text)"
            )
        lines += [f"  not hashed: {count:,} {what}" for what, count in sorted(self.unread.items())]
        return "\n".join(lines)


class Probes:
    """A benchmark's pictures and questions, ready to be looked for.

    Args:
        items: of one or several benchmarks.
    """

    def __init__(self, items: Iterable[BenchmarkItem]) -> None:
        self.items: list[tuple[str, str]] = []
        """Benchmark and id of each item."""
        self.texts: list[tuple[str, ...]] = []
        self.owners: list[tuple[int, int]] = []
        """Item of each picture that could be hashed, and which of the item's pictures it is."""
        self.refused: Counter[str] = Counter()
        parts: list[Signatures] = []
        waiting: list[tuple[int, int, bytes]] = []
        for item in items:
            waiting += [(len(self.items), place, picture) for place, picture in enumerate(item.pictures)]
            self.items.append((item.benchmark, item.id))
            self.texts.append(item.texts)
            if len(waiting) >= 256:
                parts.append(self._sign(waiting))
                waiting = []
        parts.append(self._sign(waiting))
        self.signatures = Signatures.join(parts)
        self.index = NgramIndex((number, text) for number, texts in enumerate(self.texts) for text in texts)

    def _sign(self, pictures: list[tuple[int, int, bytes]]) -> Signatures:
        signatures, refused = sign((data for *_, data in pictures), orientations=len(ORIENTATIONS))
        self.refused.update(error.reason for error in refused.values())
        self.owners += [(item, place) for number, (item, place, _) in enumerate(pictures) if number not in refused]
        return signatures

    def find(self, signatures: Signatures) -> Iterator[tuple[int, int, str]]:
        """Row of the signatures, number of the benchmark's picture, and what was measured; one orientation a pair."""
        found = matches(signatures, self.signatures, orientations=ORIENTATIONS)
        seen: set[tuple[int, int]] = set()
        for place in np.lexsort((found.orientation, found.bits64, found.bits256)):
            row, picture, turn = int(found.left[place]), int(found.right[place]), int(found.orientation[place])
            if (row, picture) not in seen:
                seen.add((row, picture))
                words = ["mirrored"] * (turn >= 4) + [f"turned {90 * (turn % 4)}°"] * (turn % 4 > 0)
                near, far = found.bits64[place], found.bits256[place]
                yield row, picture, ", ".join([f"64-bit distance {near}", f"256-bit {far}", *words])


def decontaminate(
    dataset: Dataset,
    items: Callable[[], Iterable[BenchmarkItem]],
    out: Path | str,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Audit:
    """Write a copy of the dataset without what the benchmarks ask about, and an audit.

    Args:
        dataset: the training set.
        items: gives the benchmarks' items; called twice, so that their pictures need not stay in memory.
        out: folder to make.
        progress: told of samples checked and samples in all.

    Raises:
        UsageError: there is nothing to check against, or ``out`` exists.
    """
    probes = Probes(items())
    if not probes.items:
        raise UsageError("nothing to check against: the folders and tasks given hold no item")
    audit = Audit(len(dataset))
    for benchmark, _ in probes.items:
        audit.items[benchmark] = audit.items.get(benchmark, 0) + 1
        audit.pictures.setdefault(benchmark, 0)
    for item, _ in probes.owners:
        audit.pictures[probes.items[item][0]] += 1
    audit.unread = {f"pictures of benchmarks: {reason}": count for reason, count in probes.refused.items()}
    by_media = _leaking_media(dataset, probes, audit)
    with AtomicDirectory(out) as folder:
        _write(dataset, probes, by_media, folder.temporary / "data", audit, progress)
        summary = {**asdict(audit), "hashes": list(HASH_NAMES.values())}
        text = json.dumps(summary, indent=1, ensure_ascii=False) + "\n"
        (folder.temporary / "audit.json").write_text(text, encoding="utf-8")
        write_page(folder.temporary / "audit.html", str(audit), _shown(dataset, probes, audit, items))
    return audit


def _leaking_media(dataset: Dataset, probes: Probes, audit: Audit) -> dict[str, list[tuple[int, str]]]:
    """Key of a training picture → the benchmark pictures it shows."""
    keys = iter(dict.fromkeys(media.sha256 for record in dataset.records for media in record.media))
    unread: Counter[str] = Counter()
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    while some := list(islice(keys, _CHUNK)):
        signatures, refused = sign(_read(dataset, key) for key in some)
        unread.update(error.reason for error in refused.values())
        read = [key for place, key in enumerate(some) if place not in refused]
        for row, picture, detail in probes.find(signatures):
            found[read[row]].append((picture, detail))
    audit.unread |= {f"media of the dataset: {reason}": count for reason, count in unread.items()}
    return found


def _read(dataset: Dataset, key: str) -> bytes:
    with dataset.open_media(key) as file:
        return file.read()


def _write(
    dataset: Dataset,
    probes: Probes,
    by_media: dict[str, list[tuple[int, str]]],
    path: Path,
    audit: Audit,
    progress: Callable[[int, int], None] | None,
) -> None:
    with DatasetWriter(path, recipe_hash=dataset.manifest.get("recipe_hash", "")) as writer:
        for drop in dataset.drops():
            writer.drop(drop.id, drop.reason, drop.detail)
        for number, sample in enumerate(dataset, 1):
            leaks = [
                Leak(sample.id, *probes.items[probes.owners[picture][0]], "image", detail, key, picture)
                for key in sample.media
                for picture, detail in by_media.get(key, ())
            ]
            for match in probes.index.find([message.text for message in sample.messages]):
                detail = f"{match.share:.0%} of its n-grams, first “{match.phrase}”"
                leaks.append(Leak(sample.id, *probes.items[match.item], "text", detail))
            if leaks:
                first = leaks[0]
                writer.drop(sample.id, f"leaked_{first.kind}", f"{first.benchmark} {first.item}: {first.detail}")
                audit.leaks += leaks
            else:
                writer.add(sample)
                audit.kept += 1
            if progress is not None and (number % 100 == 0 or number == len(dataset)):
                progress(number, len(dataset))


def _shown(
    dataset: Dataset, probes: Probes, audit: Audit, items: Callable[[], Iterable[BenchmarkItem]]
) -> dict[str, list[Shown]]:
    """Pairs for the page, by benchmark: the pictures of both sides are read again, those few alone."""
    chosen: dict[str, list[Leak]] = {name: [] for name in audit.items}
    for leak in audit.leaks:
        if len(chosen[leak.benchmark]) < _SHOWN:
            chosen[leak.benchmark].append(leak)
    wanted = {(leak.benchmark, leak.item) for leaks in chosen.values() for leak in leaks}
    sources = {(item.benchmark, item.id): item for item in items() if (item.benchmark, item.id) in wanted}
    shown: dict[str, list[Shown]] = {}
    for name, leaks in chosen.items():
        shown[name] = []
        for leak in leaks:
            item = sources[(leak.benchmark, leak.item)]
            ours = _read(dataset, leak.media) if leak.kind == "image" else None
            theirs = item.pictures[probes.owners[leak.picture][1]] if leak.kind == "image" else None
            text = "" if leak.kind == "image" else "\n".join(m.text for m in dataset.find(leak.sample).messages)
            shown[name].append(Shown(leak.sample, leak.item, leak.detail, ours, theirs, text, "\n".join(item.texts)))
    return shown
