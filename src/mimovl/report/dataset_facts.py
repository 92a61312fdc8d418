"""What a dataset's page says: counts, what each step of its curation did, what was dropped, lengths, and samples.

Counts are of all samples, from the manifest. Lengths and the gallery are of samples drawn at random (fixed seed), whole
row groups for lengths; the page says of how many.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from markupsafe import Markup

from mimovl.errors import MimovlError
from mimovl.report.facts import Amount, KeyNumber
from mimovl.report.format import compact, finite, integer, megabytes, percent, plural
from mimovl.report.gallery import clip_text
from mimovl.report.geometry import Geometry, after_thought, gold_geometry, gold_text, read_geometry, thought_of
from mimovl.report.histogram import histogram
from mimovl.report.overlay import Drawing, clip_overlay, picture_overlay
from mimovl.report.palette import in_order, source_class, source_name, task_class, task_name
from mimovl.report.pictures import Pictures
from mimovl.store import Dataset, Drop
from mimovl.types import Message, Sample

__all__ = ["DatasetPage", "Figure", "SampleCard", "StepRow", "dataset_page"]

SEED = 0
MEASURED = 20_000
"""About how many samples lengths are measured on."""
CARDS = 60
DROPS = 60
_PER_TASK = (3, 12)
_MOST_BARS = 24
_BOXES = 60


@dataclass(frozen=True)
class StepRow:
    """A step of the curation."""

    name: str
    seen: str
    passed: str
    changed: str
    made: str
    dropped: str
    share: float
    """Of all samples read, so many went on."""
    reasons: str


@dataclass(frozen=True)
class Figure:
    """A histogram with its heading."""

    title: str
    caption: str
    chart: Markup
    css: str = ""


@dataclass(frozen=True)
class SampleCard:
    """A sample, ready to show."""

    id: str
    task: str
    task_name: str
    css: str
    source: str
    language: str
    shown: Drawing
    turns: list[tuple[str, str]]
    """(who speaks, what)."""
    more_pictures: str
    gold: str
    meta: str


@dataclass
class DatasetPage:
    """Everything the page shows."""

    name: str
    numbers: list[KeyNumber]
    sources: list[Amount]
    tasks: list[Amount]
    languages: list[Amount]
    reasons: list[Amount]
    steps: list[StepRow]
    drops: list[Drop]
    num_drops: str
    figures: list[Figure]
    constant: str
    """What is the same in all samples."""
    measured: str
    cards: list[SampleCard]
    card_tasks: list[tuple[str, str, str, int]]
    stamp: str
    notes: list[str] = field(default_factory=list)


def dataset_page(dataset: Dataset, *, cards: int = CARDS) -> DatasetPage:
    """Gather it.

    Args:
        dataset: may have been opened with its damaged files left out; those are noted.
        cards: about how many samples the gallery shows.
    """
    manifest = dataset.manifest
    counts = manifest["counts"]
    notes = list(dataset.damaged.values())
    measured = _drawn(dataset)
    figures, constant, by_task = _lengths(dataset, measured, notes)
    shown, card_tasks = _gallery(dataset, by_task, cards, notes)
    drops = _drawn_drops(dataset, notes)
    dropped = sum(counts["dropped"].values())
    numbers = [
        KeyNumber("Samples", compact(len(dataset)), f"from {plural(len(counts['by_source']), 'source')}"),
        KeyNumber("Dropped", compact(dropped), f"{percent(dropped / max(dropped + len(dataset), 1))} of all"),
        KeyNumber("Media", compact(counts["media"]), megabytes(counts["media_bytes"] / 2**20)),
    ]
    if "by_task" in counts:
        languages = [name for name in counts.get("by_language", {}) if name]
        numbers.append(KeyNumber("Tasks", integer(len(counts["by_task"])), f"in {', '.join(languages[:4]) or '–'}"))
    return DatasetPage(
        name=dataset.path.resolve().name,
        numbers=numbers,
        sources=_amounts(counts.get("by_source", {}), source_name, source_class),
        tasks=_amounts(counts.get("by_task", {}), task_name, task_class),
        languages=_amounts(counts.get("by_language", {}), lambda name: name or "(none)", lambda _: "t-other"),
        reasons=_amounts(counts["dropped"], lambda name: name.replace("_", " "), lambda _: "t-other"),
        steps=_steps(manifest.get("steps", [])),
        drops=drops,
        num_drops=integer(dropped),
        figures=figures,
        constant=constant,
        measured=_of_how_many(len(measured), len(dataset)),
        cards=shown,
        card_tasks=card_tasks,
        stamp=f"mimovl {manifest.get('mimovl', '')} · dataset".replace("  ", " "),
        notes=notes,
    )


def _amounts(counts: Mapping[str, int], name: Any, css: Any) -> list[Amount]:
    """Bars, longest first; the many small ones are one."""
    rows = sorted(counts.items(), key=lambda row: (-row[1], row[0]))
    largest = rows[0][1] if rows else 1
    found = [Amount(name(key), integer(count), count / largest, css(key)) for key, count in rows[:_MOST_BARS]]
    if rest := rows[_MOST_BARS:]:
        total = sum(count for _, count in rest)
        found.append(Amount(f"{len(rest)} more", integer(total), min(total / largest, 1.0), "t-other"))
    return found


def _steps(rows: Sequence[Mapping[str, Any]]) -> list[StepRow]:
    first = next((row["seen"] for row in rows), 0)
    most = max([first, *(row["passed"] for row in rows)], default=0) or 1
    found = []
    for row in rows:
        reasons = sorted(row["dropped"].items(), key=lambda one: (-one[1], one[0]))
        found.append(
            StepRow(
                name=row["step"].replace("_", " "),
                seen=integer(row["seen"]),
                passed=integer(row["passed"]),
                changed=integer(row["changed"]) if row["changed"] else "",
                made=f"{row['made']:+,}".replace("-", "−") if row["made"] else "",
                dropped=integer(sum(row["dropped"].values())) if row["dropped"] else "",
                share=row["passed"] / most,
                reasons=", ".join(f"{reason.replace('_', ' ')} {integer(count)}" for reason, count in reasons),
            )
        )
    return found


def _drawn_drops(dataset: Dataset, notes: list[str]) -> list[Drop]:
    try:
        drops = dataset.drops()
    except MimovlError as error:
        notes.append(str(error))
        return []
    by_reason: dict[tuple[str, str], list[Drop]] = {}
    for drop in drops:
        by_reason.setdefault((drop.step, drop.reason), []).append(drop)
    each = min(max(_PER_TASK[0], DROPS // max(len(by_reason), 1)), _PER_TASK[1])
    found = []
    for key, some in by_reason.items():
        chosen = random.Random(f"{SEED} {key!a}").sample(range(len(some)), min(each, len(some)))
        found += [some[place] for place in sorted(chosen)]
    return [Drop(clip_text(d.id, 200), d.reason.replace("_", " "), clip_text(d.detail, 300), d.step) for d in found]


def _peeked(dataset: Dataset, numbers: Sequence[int], notes: list[str]) -> Iterator[tuple[int, Sample]]:
    """The samples that can be read, without their pictures."""
    for number in numbers:
        try:
            yield number, dataset.peek(number)[0]
        except MimovlError as error:
            notes.append(str(error))


def _drawn(dataset: Dataset) -> list[int]:
    """Numbers of the samples of row groups drawn at random: all of a small dataset."""
    groups = list(zip(dataset.starts, dataset.starts[1:], strict=False))
    random.Random(SEED).shuffle(groups)
    numbers: list[int] = []
    for begin, end in groups:
        if len(numbers) >= MEASURED:
            break
        numbers += range(begin, end)
    return sorted(numbers)


def _of_how_many(some: int, every: int) -> str:
    of = "all" if some == every else f"{integer(some)} of {integer(every)}"
    return f"Measured on {of} samples." if some else ""


def _lengths(
    dataset: Dataset, numbers: Sequence[int], notes: list[str]
) -> tuple[list[Figure], str, dict[str, list[int]]]:
    """Histograms, what is the same in all, and the samples' numbers by task."""
    by_task: dict[str, list[int]] = {}
    characters: list[float] = []
    answers: list[float] = []
    turns: list[float] = []
    pictures: list[float] = []
    sides: list[float] = []
    ratios: list[float] = []
    for number, sample in _peeked(dataset, numbers, notes):
        by_task.setdefault(sample.task, []).append(number)
        texts = [message.text for message in sample.messages]
        characters.append(sum(map(len, texts)))
        answers += [len(m.text) for m in sample.messages if m.role == "assistant" and m.text]
        turns.append(len(sample.messages))
        pictures.append(len(sample.media))
        for media in sample.media.values():
            if media.width and media.height:
                sides.append((media.width * media.height) ** 0.5)
                ratios.append(media.width / media.height)
    figures = []
    constant = []
    for title, values, unit, css in (
        ("Text", characters, "characters", "t-text"),
        ("Answers", answers, "characters", "t-caption"),
        ("Messages", turns, "a sample", "t-attributes"),
        ("Media", pictures, "a sample", "t-grounding"),
        ("Size of pictures", sides, "pixels, √ of area", "t-ocr"),
        ("Width by height", ratios, "", "t-clip_span"),
    ):
        if values and min(values) == max(values):
            constant.append(f"{title.lower()} {compact(values[0])} {unit}".strip())
            continue
        chart = histogram(title, values, unit=unit.partition(",")[0], css=css)
        if chart is not None:
            figures.append(Figure(title, f"median {compact(median(values))} {unit}".strip(), chart, css))
    return figures, "; ".join(constant), by_task


def _gallery(
    dataset: Dataset, by_task: Mapping[str, list[int]], cards: int, notes: list[str]
) -> tuple[list[SampleCard], list[tuple[str, str, str, int]]]:
    each = min(max(cards // max(len(by_task), 1), _PER_TASK[0]), _PER_TASK[1])
    pictures = Pictures([dataset.path])
    shown, tasks = [], []
    for task in in_order(by_task):
        numbers = by_task[task]
        chosen = sorted(random.Random(f"{SEED} {task!a}").sample(numbers, min(each, len(numbers))))
        made = [_card(sample, pictures) for _, sample in _peeked(dataset, chosen, notes)]
        shown += made
        tasks.append((task, task_name(task), task_class(task), len(made)))
    return shown, tasks


def _card(sample: Sample, pictures: Pictures) -> SampleCard:
    kind = sample.gold.kind if sample.gold else ""
    said = next((message.text for message in reversed(sample.messages) if message.role == "assistant"), "")
    gold = sample.gold.answer if sample.gold else None
    others = len(sample.media) - 1
    meta = {key: value for key, value in sample.meta.items() if isinstance(value, str | int | float | bool)}
    return SampleCard(
        id=sample.id,
        task=sample.task,
        task_name=task_name(sample.task),
        css=task_class(sample.task),
        source=sample.source,
        language=sample.language,
        shown=_drawing(sample, pictures, gold_geometry(kind, gold), said),
        turns=[(m.role, clip_text(_plain(m), 700)) for m in sample.messages if m.text],
        more_pictures=f"and {others} more" if others > 0 else "",
        gold=clip_text(gold_text(kind, gold), 400) if sample.gold else "",
        meta=clip_text(", ".join(f"{key} {value}" for key, value in meta.items()), 300),
    )


def _plain(message: Message) -> str:
    """What is said, without switches for thinking and thoughts that are none."""
    text = message.text.strip()
    if message.role == "user":
        return text.removesuffix("/no_think").rstrip()
    return text if thought_of(text) else after_thought(text).strip() or text


def _drawing(sample: Sample, pictures: Pictures, truth: Geometry, said: str) -> Drawing:
    """The first picture with the boxes that gold, an answer, or ``meta["objects"]`` gives."""
    embedded = pictures.embed(sample.id, list(sample.media)[:1])
    if embedded is None:
        return Drawing(None, missing=bool(sample.media))
    title = f"{task_name(sample.task)}: {clip_text(sample.messages[0].text, 120)}"
    spoken = read_geometry("box", said)
    if embedded.seconds:
        return Drawing(clip_overlay(embedded, truth, [(read_geometry("span", said), "said")], title), is_clip=True)
    size: tuple[float, float] = embedded.seen
    if not truth and not spoken and (objects := _objects(sample)):
        truth = objects
        stored: Any = sample.meta.get("size")
        size = (float(stored[0]), float(stored[1])) if _is_size(stored) else (embedded.width, embedded.height)
    return Drawing(picture_overlay(embedded, size, truth, [(spoken, "said")], title))


def _objects(sample: Sample) -> Geometry | None:
    listed = sample.meta.get("objects")
    if not isinstance(listed, list):
        return None
    boxes = []
    for one in listed[:_BOXES]:
        box = one.get("box") if isinstance(one, dict) else None
        if isinstance(box, list) and len(box) == 4 and all(finite(side) is not None for side in box):
            boxes.append((float(box[0]), float(box[1]), float(box[2]), float(box[3])))
    return Geometry(boxes=tuple(boxes))


def _is_size(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all((finite(side) or 0) > 0 for side in value)
