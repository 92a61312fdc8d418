"""One task of one segment, in whatever process: read or take up the chunks, apply the steps, write the shard.

The same job gives the same shard anywhere. A step is opened once in a process, when its first chunk comes.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from mimovl.curate.pipeline.events import DUPLICATE, Events, difference
from mimovl.curate.pipeline.plan import Job, Plan
from mimovl.curate.pipeline.shard import ShardWriter, media_of, read_chunks, read_facts, shard_path
from mimovl.curate.step import Apply, Dropped, Reader, Result, Step, Tools, WholeStep
from mimovl.errors import MimovlError, UsageError
from mimovl.types import Sample

__all__ = ["Opened", "apply_step", "decision_path", "do_job", "opened", "repeated_path"]

_READ = -1


def do_job(plan: bytes, job: Job) -> tuple[Job, dict[str, Any]]:
    """Do a job, unless its shard is there.

    Args:
        plan: a pickled ``Plan``; unpickled once in a process.
        job: what to do.

    Returns:
        The job and the facts of its shard.

    Raises:
        MimovlError: a step cannot work; names the step and the sample.
    """
    return job, opened(plan).work(job)


@lru_cache(maxsize=2)
def opened(plan: bytes) -> Opened:
    """A plan as this process holds it."""
    return Opened(pickle.loads(plan))


def decision_path(work: Path, step: int) -> Path:
    """Where the decision of a step that saw everything lies."""
    return work / f"decision-{step}.pickle"


def repeated_path(work: Path) -> Path:
    """Where it is written which samples have an id that came before."""
    return work / "repeated.pickle"


class Opened:
    """A plan with its readers and steps made and, once used, open."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.tools: Tools = plan.tools()
        self.readers: list[Reader] = [part.make() for part in plan.readers]
        self.steps: list[Step | WholeStep] = [part.make() for part in plan.steps]
        if plan.allow_network:
            for reader in self.readers:
                if (allow := getattr(reader, "go_online", None)) is not None:
                    allow()
        self._applies: dict[int, Apply] = {}
        self._decisions: dict[int, Any] = {}

    def work(self, job: Job) -> dict[str, Any]:
        """Do a job; see :func:`do_job`."""
        plan, task = self.plan, job.task
        if (facts := read_facts(plan.work, job.segment, task.number)) is not None:
            return facts
        segment = plan.segments[job.segment]
        events = Events()
        known = media_of(plan.work, job.segment, task.number)
        path = shard_path(plan.work, job.segment, task.number)
        last = segment.observe is None
        with ShardWriter(path, known, len(plan.steps), events, last=last) as shard:
            if job.segment == 0:
                chunks = self._read(job, events)
            else:
                chunks = read_chunks(plan.work, job.segment - 1, task.number, known)
            if segment.unique:
                chunks = self._unique(chunks, task.number, events)
            for number, chunk in enumerate(chunks, job.first_chunk):
                hashed = {key: media for sample in chunk for key, media in sample.media.items()}
                samples = chunk
                if segment.decide is not None:
                    samples = self._apply(segment.decide, samples, events, number)
                for step in segment.steps:
                    samples = self._apply(step, samples, events)
                for some in self._pieces(samples):
                    stored = shard.write(some, hashed)
                    if segment.observe is not None and stored:
                        shard.observe(self._observe(segment.observe, stored))
            return shard.close({})

    def _unique(self, chunks: Iterator[list[Sample]], task: int, events: Events) -> Iterator[list[Sample]]:
        """Chunks without the samples whose id came before."""
        repeated = set(pickle.loads(repeated_path(self.plan.work).read_bytes()).get(task, ()))
        store = len(self.plan.steps)
        place = 0
        for chunk in chunks:
            fresh = []
            for sample in chunk:
                if place in repeated:
                    events.drop(sample.id, store, DUPLICATE)
                    events.tally(store).seen += 1
                else:
                    fresh.append(sample)
                place += 1
            yield fresh

    def _observe(self, step: int, samples: Sequence[Sample]) -> Any:
        whole = self.steps[step]
        assert isinstance(whole, WholeStep)
        try:
            return whole.observe(samples, self.tools)
        except MimovlError:
            raise
        except Exception as error:
            raise _failed(self.plan.labels[step], samples, error) from error

    def _apply(self, step: int, samples: list[Sample], events: Events, number: int = 0) -> list[Sample]:
        if not samples:
            return samples
        passed: list[Sample] = []
        for some in self._pieces(samples) if isinstance(self.steps[step], Step) else [samples]:
            passed += apply_step(
                self._function(step, number), some, events, step, self.plan.labels[step], self.plan.drop_errors
            )
        return passed

    def _function(self, step: int, number: int) -> Apply:
        """What to call on batches; of a step that saw everything, its decision on chunk ``number``."""
        whole = self.steps[step]
        if isinstance(whole, WholeStep):
            if step not in self._decisions:
                self._decisions[step] = pickle.loads(decision_path(self.plan.work, step).read_bytes())
            decision = self._decisions[step]
            return lambda batch: whole.decide(batch, number, decision, self.tools)
        if step not in self._applies:
            self._applies[step] = whole.open(self.tools)
        return self._applies[step]

    def _read(self, job: Job, events: Events) -> Iterator[list[Sample]]:
        """What the task's units hold, a chunk at a time."""
        limits = self.plan.limits
        return _batches(self._records(job, events), limits.chunk_items, limits.chunk_bytes)

    def _records(self, job: Job, events: Events) -> Iterator[Sample]:
        reader = self.readers[job.task.reader]
        tally = events.tally(_READ)
        for unit in job.task.units:
            for sample_id, record in self._read_unit(reader, unit):
                tally.seen += 1
                if isinstance(record, Dropped):
                    events.drop(sample_id, _READ, record)
                    continue
                tally.passed += 1
                events.add(record.id, _READ, "read", detail=unit.name)
                yield record

    def _read_unit(self, reader: Reader, unit: Any) -> Iterator[tuple[str, Sample | Dropped]]:
        try:
            yield from reader.read(unit)
        except (MimovlError, MemoryError):
            raise
        except Exception as error:
            if not self.plan.drop_errors:
                message = f"reading {unit.name} failed with {type(error).__name__}: {error}; {_CURE}"
                raise UsageError(message) from error
            yield unit.name, Dropped("reader_failed", f"{type(error).__name__}: {error}")

    def _pieces(self, samples: list[Sample]) -> Iterator[list[Sample]]:
        """Samples in batches within the limits: a step may have made many of few."""
        return _batches(samples, self.plan.limits.chunk_items, 2 * self.plan.limits.chunk_bytes)


def _batches(samples: Iterable[Sample], most: int, most_bytes: int) -> Iterator[list[Sample]]:
    """Samples in their order, so many and so large at a time; one that is larger is a batch of its own."""
    batch: list[Sample] = []
    size = 0
    for sample in samples:
        weight = _weight(sample)
        if batch and (len(batch) >= most or size + weight > most_bytes):
            yield batch
            batch, size = [], 0
        batch.append(sample)
        size += weight
    if batch:
        yield batch


def apply_step(
    function: Callable[[Sequence[Sample]], list[Result]],
    samples: Sequence[Sample],
    events: Events,
    step: int,
    label: str,
    drop_errors: bool = False,
) -> list[Sample]:
    """Call a step and write down what became of each sample; returns those that go on.

    Raises:
        MimovlError: the step raised, or gave something that is no result; names the step and the sample.
    """
    passed: list[Sample] = []
    tally = events.tally(step)
    tally.seen += len(samples)
    results = _results(function, samples, label, drop_errors)
    for sample, result in zip(samples, results, strict=True):
        if result is sample:
            passed.append(sample)
            tally.passed += 1
        elif isinstance(result, Dropped):
            events.drop(sample.id, step, result)
        elif isinstance(result, Sample):
            changed = difference(sample, result)
            if result.id != sample.id:
                events.add(sample.id, step, "split", detail=result.id)
                events.add(result.id, step, "made", reason=sample.id, detail=changed)
            elif changed:
                events.add(sample.id, step, "changed", detail=changed)
            tally.changed += bool(changed or result.id != sample.id)
            passed.append(result)
            tally.passed += 1
        else:
            events.add(sample.id, step, "split", detail=", ".join(one.id for one in result) or "nothing")
            for one in result:
                if one.id != sample.id:
                    events.add(one.id, step, "made", reason=sample.id)
            passed += result
            tally.changed += result != [sample]
            tally.passed += len(result)
            tally.made += len(result) - 1
    return passed


def _results(function: Apply, samples: Sequence[Sample], label: str, drop_errors: bool) -> list[Result]:
    try:
        results = function(samples)
    except (MimovlError, MemoryError):
        raise
    except Exception as error:
        results = []
        for sample in samples:  # find the culprit
            try:
                results += function([sample])
            except Exception as single:
                if not drop_errors:
                    raise _failed(label, [sample], single) from single
                results.append(Dropped("step_failed", f"{type(single).__name__}: {single}"))
        if not drop_errors:
            raise _failed(label, samples, error) from error
    if len(results) != len(samples):
        raise UsageError(f"step {label} gave {len(results)} results for {len(samples)} samples; give one for each")
    for sample, result in zip(samples, results, strict=True):
        listed = result if isinstance(result, list) else [result]
        if not all(isinstance(one, Sample) or (one is result and isinstance(one, Dropped)) for one in listed):
            raise UsageError(
                f"step {label} gave {type(result).__name__} for sample {sample.id}; give a Sample, a Dropped or "
                "a list of Samples"
            )
        if len({one.id for one in listed if isinstance(one, Sample)}) < len(listed) and isinstance(result, list):
            raise UsageError(f"step {label} made two samples of one id out of {sample.id}; give each its own")
    return results


_CURE = "mend it, or have such samples dropped with drop_errors: true; MIMOVL_DEBUG=1 shows where"


def _failed(label: str, samples: Sequence[Sample], error: Exception) -> UsageError:
    which = samples[0].id if len(samples) == 1 else f"{samples[0].id} to {samples[-1].id}"
    return UsageError(f"step {label} failed on {which} with {type(error).__name__}: {error}; {_CURE}")


def _weight(sample: Sample) -> int:
    """Bytes of a sample, about."""
    text = sum(len(part.text) for message in sample.messages for part in message.content)
    return text + sum(len(media.data) for media in sample.media.values())
