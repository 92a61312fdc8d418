"""The course of a curation: segments in order, tasks in any, decisions between, and the dataset at the end.

    outcome = curate([Images(path="photos")], [NotTooShort(words=3)], "out", tools=Tools(...), workers=2)

Everything under way lies in ``OUT.curating``: killed at any point, the same call goes on, and its output is the same
bytes. Another recipe or other input is refused there, not mixed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pickle
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mimovl.curate.pipeline.events import Tally
from mimovl.curate.pipeline.finish import finish
from mimovl.curate.pipeline.plan import READ, Job, Limits, Plan, Task, make_plan
from mimovl.curate.pipeline.pool import Here, Pool, Processes
from mimovl.curate.pipeline.shard import read_facts, read_observed, repeated_ids, tallies_of
from mimovl.curate.pipeline.tools import PlainTools
from mimovl.curate.pipeline.work import decision_path, do_job, repeated_path
from mimovl.curate.step import Reader, Step, Tools, WholeStep
from mimovl.errors import UsageError
from mimovl.store import Dataset

__all__ = ["Outcome", "Progress", "curate"]

Progress = Callable[[float, float, str], None]
"""Called with (records done, records in all, about; figures of the moment)."""


@dataclass(frozen=True)
class Outcome:
    """What a curation made."""

    path: Path
    manifest: dict[str, Any]

    def __str__(self) -> str:
        counts = self.manifest["counts"]
        lines = [f"{self.path}: {counts['kept']:,} samples, {counts['media']:,} media"]
        for step in self.manifest["steps"]:
            dropped = ", ".join(f"{reason} {count:,}" for reason, count in step["dropped"].items())
            changed = f", changed {step['changed']:,}" if step["changed"] else ""
            made = f", made {step['made']:+,}" if step["made"] else ""
            lines.append(
                f"  {step['step']:<20} {step['seen']:>10,} → {step['passed']:>10,}{changed}{made}"
                + (f"; dropped: {dropped}" if dropped else "")
            )
        return "\n".join(lines)


def curate(
    readers: Sequence[Reader],
    steps: Sequence[Step | WholeStep],
    out: Path | str,
    *,
    tools: Callable[[], Tools] | None = None,
    workers: int = 1,
    pool: Pool | None = None,
    limits: Limits | None = None,
    drop_errors: bool = False,
    allow_network: bool = False,
    recipe_hash: str = "",
    progress: Progress | None = None,
) -> Outcome:
    """Read, apply the steps and write a dataset, or what is left of that.

    Args:
        readers: the sources, one after the other.
        steps: in order.
        out: the dataset's folder, made when all is done; a finished one of the same recipe is left as it is.
        tools: makes the tools of a process; picklable. Without it there are no models, and the seed is 0.
        workers: processes; 0 does everything in this one. The output does not depend on it.
        pool: other workers than processes of this machine.
        limits: how much is held and done at once.
        drop_errors: what a step raises drops the sample, instead of stopping.
        allow_network: readers may fetch media from URLs.
        recipe_hash: kept in the manifest.
        progress: told after each task.

    Raises:
        UsageError: ``out`` is something else, what was begun there had another recipe or input, or a step failed.
        DataError: a source holds nothing.
        MimovlError: a worker died again and again.
    """
    out = Path(out)
    limits = limits or Limits()
    work = out.with_name(f"{out.name}.curating")
    tools = tools or partial(PlainTools, out.with_name(f"{out.name}.cache"))
    plan, tasks = make_plan(
        readers, steps, tools=tools, work=work, limits=limits, drop_errors=drop_errors, allow_network=allow_network
    )
    about = plan.about(tasks)
    if out.is_dir() and any(out.iterdir()):
        return _finished(out, about, work)
    with _locked(work):
        _begin(work, about)
        own = pool or (Processes(workers, limits.attempts) if workers else Here())
        try:
            outcome = _run(plan, tasks, out, own, about, recipe_hash, progress)
        finally:
            if pool is None:
                own.close()
        shutil.rmtree(work, ignore_errors=True)
    return outcome


def _run(
    plan: Plan, tasks: Sequence[Task], out: Path, pool: Pool, about: str, recipe_hash: str, progress: Progress | None
) -> Outcome:
    clock = _Clock(plan, tasks, progress)
    tallies = {step: Tally() for step in range(-1, len(plan.steps) + 1)}
    firsts = [0] * len(tasks)
    segments = list(plan.segments)
    while segments:
        segment = segments.pop(0)
        common = pickle.dumps(plan, protocol=5)
        chunks = [0] * len(tasks)
        done: list[dict[int, Tally]] = [{} for _ in tasks]

        def note(number: int, facts: dict[str, Any], fresh: bool, chunks: list[int] = chunks, done: Any = done) -> None:
            chunks[number] = facts["chunks"]
            done[number] = tallies_of(facts)
            clock.tick(tasks[number].items, facts["samples"], done[number], fresh=fresh)

        todo = []
        for task in tasks:
            if (facts := read_facts(plan.work, segment.number, task.number)) is not None:
                note(task.number, facts, fresh=False)
            else:
                todo.append(Job(segment.number, task, firsts[task.number]))
        for job, facts in pool.run(do_job, common, todo):
            note(job.task.number, facts, fresh=True)
        for found in done:
            for step, tally in found.items():
                tallies[step].add(tally)
        firsts = _sums(chunks)
        if segment.number == 0 and segment.observe is not None:
            # A step that decides by ids must meet each once; nearly always they are unique, and this costs nothing.
            if repeated := repeated_ids(plan.work, 0, len(tasks)):
                _write(repeated_path(plan.work), repeated)
                plan = plan.with_unique_ids()
                segments = list(plan.segments[1:])
                clock.total += sum(task.items for task in tasks)
                continue
        if segment.observe is not None:
            clock.say(f"settling {plan.labels[segment.observe]}")
            _settle(plan, segment.number, segment.observe, len(tasks))
    labels = (READ, *plan.labels, "store")
    manifest = finish(
        plan, tasks, out, pool, about=about, recipe_hash=recipe_hash, labels=labels,
        tallies=[tallies[step] for step in range(-1, len(plan.steps) + 1)], say=clock.say,
    )  # fmt: skip
    return Outcome(out, manifest)


def _settle(plan: Plan, segment: int, step: int, count: int) -> None:
    """Make the decision of a step that has seen everything, unless it is made."""
    path = decision_path(plan.work, step)
    if path.exists():
        return
    whole = plan.steps[step].make()
    _write(path, whole.settle(_observed(plan, segment, count), plan.tools()))


def _write(path: Path, value: Any) -> None:
    """Pickle a value, whole or not at all."""
    partial_path = path.with_name(f".{path.name}.{os.getpid()}")
    with open(partial_path, "wb") as file:
        pickle.dump(value, file, protocol=5)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial_path, path)


def _observed(plan: Plan, segment: int, count: int) -> Iterator[Any]:
    for task in range(count):
        yield from read_observed(plan.work, segment, task)


def _sums(counts: Sequence[int]) -> list[int]:
    firsts, total = [], 0
    for count in counts:
        firsts.append(total)
        total += count
    return firsts


def _finished(out: Path, about: str, work: Path) -> Outcome:
    try:
        manifest = Dataset.open(out).manifest
    except ValueError:
        manifest = {}
    if "curation" not in manifest:
        raise UsageError(f"{out} is there and is no dataset of a curation; choose another --out, or delete it")
    if manifest["curation"] != about:
        raise UsageError(f"{out} was made with another recipe or from other input; choose another --out, or delete it")
    shutil.rmtree(work, ignore_errors=True)
    return Outcome(out, manifest)


def _begin(work: Path, about: str) -> None:
    """Make the folder of what is under way, or check that it is of the same curation; remove what was half written."""
    file = work / "about.json"
    if file.exists():
        known = json.loads(file.read_text(encoding="utf-8")).get("about")
        if known != about:
            raise UsageError(
                f"{work} was begun with another recipe, other input or another mimovl; put those back, choose another "
                "--out, or delete it to start again"
            )
    else:
        partial_file = file.with_suffix(".partial")
        partial_file.write_text(json.dumps({"about": about}), encoding="utf-8")
        partial_file.replace(file)
    for folder in work.glob("segment-*"):
        for torn in folder.glob(".*"):
            shutil.rmtree(torn, ignore_errors=True)


@contextlib.contextmanager
def _locked(work: Path) -> Iterator[None]:
    """Only one run in a folder."""
    work.mkdir(parents=True, exist_ok=True)
    lock = os.open(work / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"{work} is in use: another run of the same curation is under way") from None
        yield
    finally:
        os.close(lock)


class _Clock:
    """Progress over all segments as one bar, with the rate of this run."""

    def __init__(self, plan: Plan, tasks: Sequence[Task], progress: Progress | None) -> None:
        self.progress = progress
        self.total = max(1, sum(task.items for task in tasks)) * len(plan.segments)
        self.done = 0
        self.records = 0
        self.dropped = 0
        self.started = time.monotonic()
        self.text = ""

    def tick(self, items: int, samples: int, tallies: dict[int, Tally], *, fresh: bool) -> None:
        self.done += items
        if fresh:  # those of an earlier run were not done just now
            self.records += max([samples, *(tally.seen for tally in tallies.values())])
        self.dropped += sum(tally.dropped.total() for tally in tallies.values())
        rate = self.records / max(time.monotonic() - self.started, 1e-3)
        self.text = f"{rate:,.0f} records/s, {self.dropped:,} dropped"
        self.say("")

    def say(self, what: str) -> None:
        if self.progress is not None:
            self.progress(self.done, self.total, f"{self.text}; {what}" if what else self.text)
