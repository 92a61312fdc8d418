"""The plain facts of a run: size, machine, versions, timings, memory, and what the data lost on its way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mimovl.report.format import compact, date, duration, finite, integer, megabytes, percent
from mimovl.report.palette import lower_first, source_class, source_name, stage_title
from mimovl.report.run_directory import Record, Run, mapping

__all__ = ["Amount", "DataFacts", "KeyNumber", "data_facts", "key_numbers", "machine_facts", "timings"]


@dataclass(frozen=True)
class KeyNumber:
    """A number of the headline: what, how much, and a remark."""

    label: str
    value: str
    remark: str = ""


@dataclass(frozen=True)
class Amount:
    """A bar: its label, its value as text, its length as a share of the longest, its colour class."""

    label: str
    value: str
    share: float
    css: str = ""


@dataclass(frozen=True)
class DataFacts:
    """What went in and what did not."""

    counts: list[Amount]
    total: str
    dropped: list[Amount]
    removed: float | None
    summary: str


def _amounts(rows: Iterable[tuple[str, float, str, str]]) -> list[Amount]:
    """Bars from (label, number, number as text, colour class)."""
    rows = list(rows)
    largest = max((number for _, number, _, _ in rows), default=0.0) or 1.0
    return [Amount(label, shown, number / largest, css) for label, number, shown, css in rows]


def _numbers(record: Record) -> list[tuple[str, float]]:
    pairs = ((str(name), finite(value)) for name, value in record.items())
    return [(name, value) for name, value in pairs if value is not None]


def _sum(values: Iterable[float | None]) -> float:
    return sum(value for value in values if value)


def key_numbers(run: Run) -> list[KeyNumber]:
    """Size, time, tokens, pictures, memory: those that are known."""
    model = mapping(run.info.get("model"))
    parts = [(name, finite(model.get(name))) for name in ("vision", "projector", "language")]
    remark = " + ".join(f"{compact(value)} {name}" for name, value in parts if value)
    numbers = []
    if finite(model.get("parameters")):
        numbers.append(KeyNumber("Parameters", compact(model.get("parameters")), remark))
    seconds = _sum(value for _, value in _numbers(mapping(run.info.get("seconds"))))
    if seconds:
        machine = mapping(run.info.get("machine"))
        cores = finite(machine.get("cores"))
        on = f"on {integer(cores)} {'core' if cores == 1 else 'cores'}" if cores else ""
        numbers.append(KeyNumber("Time" if run.finished else "Time so far", duration(seconds), on))
    lasts = [stage.metrics[-1] for stage in run.training if stage.metrics]
    tokens = _sum(finite(line.get("tokens")) for line in lasts)
    images = _sum(finite(line.get("images")) for line in lasts)
    if tokens:
        numbers.append(
            KeyNumber("Training tokens", compact(tokens), f"{compact(images)} pictures and clips" if images else "")
        )
    if run.rl is not None and run.rl.metrics:
        sampled = _sum(finite(line.get("groups_sampled")) for line in run.rl.metrics)
        numbers.append(
            KeyNumber("RL updates", compact(run.rl.steps_done), f"{compact(sampled)} groups sampled" if sampled else "")
        )
    peak = finite(run.info.get("peak_memory_mb"))
    if peak:
        memory = finite(mapping(run.info.get("machine")).get("memory_gb"))
        numbers.append(KeyNumber("Peak memory", megabytes(peak), f"of {integer(memory)} GB" if memory else ""))
    return numbers


def machine_facts(run: Run) -> list[tuple[str, str]]:
    """Machine and versions as (name, value) rows."""
    machine, info = mapping(run.info.get("machine")), run.info
    memory, cores = finite(machine.get("memory_gb")), finite(machine.get("cores"))
    rows = [
        ("Processor", str(machine.get("cpu") or "")),
        ("Cores", integer(cores) if cores else ""),
        ("Memory", f"{memory:.3g} GB" if memory else ""),
        ("Peak memory used", megabytes(info.get("peak_memory_mb")) if finite(info.get("peak_memory_mb")) else ""),
        ("mimovl", str(info.get("mimovl") or "")),
        ("torch", str(info.get("torch") or "")),
        ("Python", str(info.get("python") or "")),
        ("Started", date(info.get("started")) if info.get("started") else ""),
        ("Finished", date(info.get("finished")) if info.get("finished") else ""),
        ("Base parts, recipe hash", str(mapping(info.get("base")).get("recipe_hash") or "")),
    ]
    return [(name, value) for name, value in rows if value]


def timings(run: Run) -> list[Amount]:
    """How long each step took, in the order of running."""
    rows = _numbers(mapping(run.info.get("seconds")))
    total = sum(seconds for _, seconds in rows) or 1.0
    return _amounts(
        (_step_name(name), seconds, f"{duration(seconds)} · {percent(seconds / total, 0)}", _step_class(name))
        for name, seconds in rows
    )


def _step_name(name: str) -> str:
    first, *rest = name.replace("/", " ").split(" ", 1)
    if rest:
        return f"{stage_title(first)} {rest[0].split('-')[0]}: {lower_first(stage_title(rest[0]))}"
    number = name.split("-")[0]
    return f"{number} {stage_title(name)}" if number.isdigit() else stage_title(name)


def _step_class(name: str) -> str:
    return "t-other" if name.startswith("evaluate") else "t-rl" if "morl" in name else "t-stage"


def data_facts(run: Run) -> DataFacts | None:
    """Counts by source, drops by reason, pictures removed because a held-out one looks the same; None if unknown."""
    data = mapping(run.info.get("data"))
    if not data:
        return None
    counts = sorted(_numbers(mapping(data.get("counts"))), key=lambda row: -row[1])
    dropped = sorted(_numbers(mapping(data.get("dropped"))), key=lambda row: -row[1])
    removed = finite(data.get("heldout_phash_removed"))
    total, lost = sum(count for _, count in counts), sum(count for _, count in dropped)
    summary = f"{integer(total)} samples from {len(counts)} sources were kept"
    summary += f", {integer(lost)} dropped ({percent(lost / (total + lost), 2)})." if total + lost else "."
    return DataFacts(
        _amounts((source_name(name), count, integer(count), source_class(name)) for name, count in counts),
        integer(total),
        _amounts((name, count, integer(count), "t-other") for name, count in dropped),
        removed,
        summary,
    )
