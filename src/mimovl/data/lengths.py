"""How many tokens a sample takes, known from its text and the headers of its pictures; nothing is decoded.

    count_tokens(processor, sample)                  one sample
    build_index(samples, processor)                  all of them, kept in the dataset's folder
    mimovl lengths DATASET --checkpoint CKPT         the same from outside, with what is too long

They are what packing decides by, and equal to the lengths of the encoded samples (tests/data/test_lengths.py).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mimovl.data.processor import Processor
from mimovl.data.workers import InProcess, Note, Runner, WorkerPool
from mimovl.errors import DataError
from mimovl.media_check import check_media
from mimovl.types import Sample

__all__ = ["LengthIndex", "OpenMedia", "Peekable", "Readable", "build_index", "count_tokens", "find_index", "peek_at"]

_COUNTED_TOGETHER = 256

OpenMedia = Callable[[str], BinaryIO]
"""Opens a picture or clip of a sample by its key."""


class Readable(Protocol):
    """Samples by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...


@runtime_checkable
class Peekable(Protocol):
    """Samples of which less than all can be read."""

    def peek(self, index: int) -> tuple[Sample, OpenMedia]:
        """A sample whose media hold no bytes, and what opens them."""
        ...


def peek_at(samples: Readable, index: int) -> tuple[Sample, OpenMedia]:
    """A sample to be counted, and what opens its media."""
    if isinstance(samples, Peekable):
        return samples.peek(index)
    sample = samples[index]
    return sample, lambda key: io.BytesIO(sample.media[key].data)


def count_tokens(processor: Processor, sample: Sample, open_media: OpenMedia | None = None) -> int:
    """Tokens a training sample takes.

    Args:
        processor: of the checkpoint that will read it.
        sample: its media may hold no bytes.
        open_media: opens them; without it their bytes are used.

    Raises:
        DataError: its placeholders are not its pictures; names the sample and both numbers.
        MediaError: a header cannot be read.
    """
    check_media(sample)
    ids, _, parts = processor.placed(sample.id, sample.messages, sample.media)
    total = len(ids)
    for part in parts:
        media = sample.media[part.media]
        name = f"sample {sample.id}, {part.type} {part.media[:12]}"
        if open_media is None:
            total += processor.visual_tokens(media, media.data, name=name) - 1
            continue
        with open_media(part.media) as file:
            total += processor.visual_tokens(media, file, name=name) - 1
    return total


# ---------------------------------------------------------------- a whole dataset


@dataclass(frozen=True)
class LengthIndex:
    """Tokens of every sample of a dataset for one processor."""

    tokens: np.ndarray
    """Shape (samples,), int32; 0 where a sample cannot be used."""
    problems: dict[int, str] = field(default_factory=dict)
    """Why not, by the sample's number."""
    seconds: float = 0.0
    """How long it took to build, on this many processes:"""
    workers: int = 0

    @property
    def rate(self) -> float:
        """Samples a second it was built at."""
        return len(self.tokens) / max(self.seconds, 1e-9)

    def longer_than(self, length: int) -> list[int]:
        """Samples that no pack of ``length`` tokens can hold."""
        return [int(index) for index in np.flatnonzero(self.tokens > length)]


@dataclass(frozen=True)
class CountWork:
    """Counts samples by number, here or in a worker."""

    samples: Readable
    processor: Processor

    def __call__(self, kind: str, about: Sequence[int], note: Note) -> list[tuple[int, str]]:
        """Tokens and what is wrong, of each."""
        counted = []
        for index in about:
            note(f"sample number {index}")
            counted.append(count_one(self.samples, self.processor, index))
        return counted


def build_index(
    samples: Readable,
    processor: Processor,
    folder: Path | None = None,
    *,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> LengthIndex:
    """The lengths of a dataset: read from its folder where they lie for this processor, else counted and kept there.

    Samples that could not be used when they were counted are counted again: their file may have been mended since.

    Args:
        samples: the dataset; with workers it must be picklable.
        processor: of the checkpoint that will read it.
        folder: where to keep the index; None keeps it in memory only.
        workers: processes that count; 0 counts here.
        progress: told of (done, total) now and then.

    Raises:
        MimovlError: a worker died; names the sample it was on.
    """
    if folder and (found := find_index(samples, processor, folder)):
        if _mend(found, samples, processor):
            _write(found, _index_file(samples, processor, folder))
        return found
    started = time.monotonic()
    total = len(samples)
    tokens = np.zeros(total, dtype=np.int32)
    problems: dict[int, str] = {}
    work = CountWork(samples, processor)
    with ExitStack() as stack:
        runner: Runner = stack.enter_context(WorkerPool(work, workers)) if workers else InProcess(work)
        starts = iter(range(0, total, _COUNTED_TOGETHER))
        jobs: deque[tuple[int, int]] = deque()
        while True:
            for start in islice(starts, 2 * workers + 1 - len(jobs)):
                about = range(start, min(start + _COUNTED_TOGETHER, total))
                jobs.append((start, runner.submit("count", about)))
            if not jobs:
                break
            start, job = jobs.popleft()
            for index, (count, problem) in enumerate(runner.result(job), start):
                tokens[index] = count
                if problem:
                    problems[index] = problem
            if progress:
                progress(min(start + _COUNTED_TOGETHER, total), total)
    index_ = LengthIndex(tokens, problems, time.monotonic() - started, workers)
    if folder:
        _write(index_, _index_file(samples, processor, folder))
    return index_


def _mend(index: LengthIndex, samples: Readable, processor: Processor) -> bool:
    """Count again what could not be used, in place; whether anything has changed."""
    before = dict(index.problems)
    for number in before:
        index.tokens[number], problem = count_one(samples, processor, number)
        if problem:
            index.problems[number] = problem
        else:
            del index.problems[number]
    return index.problems != before


def count_one(samples: Readable, processor: Processor, index: int) -> tuple[int, str]:
    """Tokens of one sample and "", or 0 and what is wrong with it."""
    try:
        return count_tokens(processor, *peek_at(samples, index)), ""
    except DataError as error:
        return 0, str(error)


def find_index(samples: Readable, processor: Processor, folder: Path) -> LengthIndex | None:
    """The index in a dataset's folder, if it is of these very samples and this processor."""
    path = _index_file(samples, processor, folder)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read()
            facts = json.loads(file.schema_arrow.metadata[b"mimovl"])
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException):
        return None
    tokens = table["tokens"].to_numpy().astype(np.int32)  # a copy, which may be mended
    if len(tokens) != len(samples):
        return None
    problems = {index: problem for index, problem in enumerate(table["problem"].to_pylist()) if problem}
    return LengthIndex(tokens, problems, facts["seconds"], facts["workers"])


def _write(index: LengthIndex, path: Path) -> None:
    """Keep an index; a folder that may not be written to goes without."""
    facts = {"seconds": index.seconds, "samples_per_second": index.rate, "workers": index.workers}
    schema = pa.schema(
        [("tokens", pa.int32()), ("problem", pa.string())], metadata={"mimovl": json.dumps(facts).encode()}
    )
    problems = [index.problems.get(number) for number in range(len(index.tokens))]
    table = pa.Table.from_arrays([pa.array(index.tokens), pa.array(problems, pa.string())], schema=schema)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(exist_ok=True)
        pq.write_table(table, partial, compression="zstd", write_page_checksum=True)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)


def _index_file(samples: Readable, processor: Processor, folder: Path) -> Path:
    """Named by all that the counts depend on, so that an index is never mistaken for another."""
    facts = {
        "version": 1,
        "samples": _identity(samples, folder),
        "tokenizer": {name: hashlib.sha256(data).hexdigest() for name, data in processor.tokenizer.files.items()},
        "template": processor.template.source,
        "image": asdict(processor.image),
        "video": asdict(processor.video),
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return folder / "lengths" / f"{digest[:16]}.parquet"


def _identity(samples: Any, folder: Path) -> list[Any]:
    """What changes when the samples do: what they say of themselves, or a dataset's manifest."""
    told = getattr(samples, "fingerprint", None)
    manifest = folder / "manifest.json"
    if told is None and manifest.is_file():
        told = hashlib.sha256(manifest.read_bytes()).hexdigest()
    return [len(samples), told]
