"""Samples to packed batches, ahead of the trainer and resumable to the sample.

The state handed out with each batch says what comes after it: the next draw of the mixture and which drawn samples
still wait in the packer's window.

Two ways, one result. Small samples are encoded as they are drawn, in a background thread. Large ones are packed by
their lengths alone, known from headers (``peek``) or an index (``lengths``), and whole packs are then read, decoded and
laid end to end by ``workers``, so that the window holds numbers and never pixels. Batches are the same for any number
of workers.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import chain, cycle, islice
from typing import Any

import numpy as np

from mimovl.data.lengths import OpenMedia
from mimovl.data.loader_state import DrawOrder, Dropped, LoaderState, add_drops
from mimovl.data.pack_index import WindowPacker
from mimovl.data.processor import Encoded, Processor
from mimovl.data.sample_work import Measured, OnBad, SampleWork, unpack_batch
from mimovl.data.workers import InProcess, Runner, WorkerPool
from mimovl.errors import DataError, MimovlError
from mimovl.types import PackedBatch, Sample

__all__ = ["PackedLoader", "indices_by_source", "side_by_side"]

_MEASURED_TOGETHER = 32
"""Samples whose lengths one job of a worker finds."""
_MOST_DROPPED = 10_000
"""Draws left out in a row after which nothing usable is expected any more."""
_LISTED = 10_000
"""Samples left out that are remembered by name."""

Batches = Generator[tuple[PackedBatch, LoaderState]]


class PackedLoader:
    """Endless packed batches.

    Args:
        read: dataset index to sample.
        mixture: which index comes next.
        processor: sample to tensors.
        length: tokens of a pack.
        state: where to start.
        window: drawn samples the packer chooses from.
        ahead: batches prepared in advance; 0 (without workers) encodes in the caller's thread.
        lane: (number, count): take every ``count``-th draw from ``number`` on, so that ``count`` loaders side by side
            share out one mixture.
        workers: processes that read and encode; ``read``, ``peek`` and ``processor`` are sent to each by pickle.
        peek: dataset index to a sample without its media's bytes, and what opens them.
        lengths: tokens of every sample, from ``data.lengths``; 0 where a sample cannot be used.
        too_long: what to do with a sample longer than a pack.
        damaged: what to do with any other that cannot be used.

    Iterating yields ``(batch, state after it)``.

    Raises:
        DataError: while iterating, a sample longer than a pack (named with both numbers) or one that cannot be used; at
            once, a state of other data.
        MimovlError: while iterating, a worker died; names the sample it was on.
    """

    def __init__(
        self,
        read: Callable[[int], Sample],
        mixture: DrawOrder,
        processor: Processor,
        length: int,
        *,
        state: LoaderState | None = None,
        window: int = 48,
        ahead: int = 4,
        lane: tuple[int, int] = (0, 1),
        workers: int = 0,
        peek: Callable[[int], tuple[Sample, OpenMedia]] | None = None,
        lengths: Sequence[int] | np.ndarray | None = None,
        too_long: OnBad = "refuse",
        damaged: OnBad = "refuse",
    ) -> None:
        self.mixture = mixture
        self.state = state or LoaderState(order=mixture.order)
        if self.state.order != mixture.order:
            raise DataError(
                f"the loader's state is of other data (order {self.state.order or 'unknown'}, now "
                f"{mixture.order or 'unknown'}): a folder, a shard, a weight, the seed or the buffer changed; put it "
                "back, or start this stage again"
            )
        self.window = window
        self.ahead = ahead
        self.lane = lane
        self.workers = workers
        self.lengths = lengths
        self.dropped: list[Dropped] = []
        """Samples left out since this loader began, the first 10,000 of them; the state counts all."""
        self.work = SampleWork(read, processor, length, peek, too_long, damaged)
        self.by_length = workers > 0 or peek is not None or lengths is not None

    def __iter__(self) -> Batches:
        if not self.by_length:
            return _ahead(self._encoded(), self.ahead, threading.Event()) if self.ahead else self._encoded()
        stop = threading.Event()
        batches = _planned([self], stop)
        return _ahead(batches, 1 if self.workers else self.ahead, stop) if self.workers or self.ahead else batches

    # ------------------------------------------------------------ encoded as they are drawn

    def _encoded(self) -> Batches:
        work = self.work
        held: dict[int, Encoded] = {}

        def measured() -> Iterator[Measured]:
            for number, index in enumerate(self._draws()):
                encoded = work.encode(index, lambda _: None)
                if isinstance(encoded, Encoded):
                    held[number] = encoded
                    yield Measured(index, encoded.num_tokens)
                else:
                    yield encoded

        for chosen, _, state in self.packs(measured()):
            yield work.collate([held.pop(number) for number in chosen]), state

    # ------------------------------------------------------------ packed by their lengths

    def measured(self, runner: Runner) -> Iterator[Measured]:
        """Every draw with its tokens, in order."""
        draws = self._draws()
        jobs: deque[tuple[list[Measured | None], int | None]] = deque()
        while True:
            while len(jobs) <= 2 * self.workers:
                indices = list(islice(draws, _MEASURED_TOGETHER))
                known = [self._known(index) for index in indices]
                unknown = [index for index, one in zip(indices, known, strict=True) if one is None]
                jobs.append((known, runner.submit("measure", unknown) if unknown else None))
            known, job = jobs.popleft()
            found = iter(runner.result(job) if job is not None else ())
            for one in known:
                yield one or next(found)

    def _known(self, index: int) -> Measured | None:
        """A sample whose tokens an index of lengths tells, and which fits."""
        tokens = int(self.lengths[index]) if self.lengths is not None else 0
        return Measured(index, tokens) if 0 < tokens <= self.work.length else None

    # ------------------------------------------------------------ what both share

    def _draws(self) -> Iterator[int]:
        """Dataset indices: first those that waited, then the draws of this lane."""
        lane, count = self.lane
        fresh = islice(self.mixture.stream(self.state.next_draw * count + lane), 0, None, count)
        return chain(self.state.waiting, fresh)

    def packs(self, measured: Iterable[Measured]) -> Iterator[tuple[list[int], list[tuple[int, int]], LoaderState]]:
        """Packs in order: numbers of their draws, (index, tokens) of their samples, and the state after each."""
        begin, waiting = self.state.next_draw, self.state.waiting
        packer = WindowPacker(self.work.length, window=self.window)
        held: dict[int, tuple[int, int]] = {}  # in the packer: number -> (index, tokens), oldest first
        counts, in_a_row = self.state.dropped, 0
        for number, sample in enumerate(measured):
            if sample.error:
                raise sample.error
            if sample.dropped:
                self.list_dropped([sample.dropped])
                counts, in_a_row = add_drops(counts, [sample.dropped]), in_a_row + 1
                if in_a_row >= _MOST_DROPPED:
                    raise _all_dropped(in_a_row, sample.dropped)
                continue
            in_a_row = 0
            held[number] = sample.index, sample.tokens
            if not (chosen := packer.add(number, sample.tokens)):
                continue
            pack = [held.pop(place) for place in chosen]
            # A window narrower than the one the state was saved with hands out packs while samples still wait.
            still = (*(index for index, _ in held.values()), *waiting[number + 1 :])
            yield chosen, pack, LoaderState(begin + max(0, number + 1 - len(waiting)), still, counts, self.state.order)

    def list_dropped(self, dropped: Sequence[Dropped]) -> None:
        """Remember by name what was left out."""
        self.dropped += dropped[: max(0, _LISTED - len(self.dropped))]


def side_by_side(loaders: Sequence[PackedLoader]) -> Generator[list[tuple[PackedBatch, LoaderState]]]:
    """A batch of every loader at a time: the packs of an optimizer step.

    Loaders that pack by length share the workers of the first and ``ahead`` counts the packs of all. Closing the
    iterator ends threads and workers.
    """
    if not all(loader.by_length for loader in loaders) or not loaders:
        with ExitStack() as stack:
            each = [stack.enter_context(closing(iter(loader))) for loader in loaders]
            while True:
                yield [next(batches) for batches in each]
    stop = threading.Event()
    batches = _ahead(_planned(loaders, stop), 1, stop)
    with closing(batches):
        while True:
            yield [next(batches) for _ in loaders]


def _planned(loaders: Sequence[PackedLoader], stop: threading.Event) -> Batches:
    """Batches of the loaders in turn.

    Packs are decided here and built by the runner, several at once; an error comes after what is before it.
    """
    first = loaders[0]
    depth = max(1, first.ahead, first.workers) if first.workers else 1
    with _running(first.work, first.workers, stop) as runner:
        lanes = [_Lane(loader, loader.packs(loader.measured(runner))) for loader in loaders]
        turns = cycle(lanes)
        for lane in cycle(lanes):
            values = None
            while values is None:  # a pack of which nothing could be used is passed over
                while sum(len(one.jobs) for one in lanes) < depth and not all(one.failure for one in lanes):
                    next(turns).submit(runner)
                if not lane.jobs:
                    lane.submit(runner)
                values, state = lane.take(runner)
            yield unpack_batch(values), state


class _Lane:
    """A loader whose packs are being built."""

    def __init__(self, loader: PackedLoader, plan: Iterator[tuple[Any, Any, LoaderState]]) -> None:
        self.jobs: deque[tuple[int, LoaderState]] = deque()
        self.failure: MimovlError | None = None
        self._loader = loader
        self._plan = plan
        self._lost: tuple[tuple[str, int], ...] = ()
        self._in_a_row = 0

    def submit(self, runner: Runner) -> None:
        """Decide one more pack and have it built; an error waits for its turn."""
        if self.failure:
            return
        try:
            _, pack, state = next(self._plan)
        except MimovlError as error:
            self.failure = error
        else:
            self.jobs.append((runner.submit("build", pack), state))

    def take(self, runner: Runner) -> tuple[dict[str, Any] | None, LoaderState]:
        """The next pack and the state after it."""
        if not self.jobs:
            assert self.failure
            raise self.failure
        job, state = self.jobs.popleft()
        values, dropped = runner.result(job)
        self._loader.list_dropped(dropped)
        self._lost = add_drops(self._lost, dropped)
        self._in_a_row = 0 if values else self._in_a_row + len(dropped)
        if self._in_a_row >= _MOST_DROPPED:
            raise _all_dropped(self._in_a_row, dropped[-1])
        return values, _with_drops(state, self._lost)


@contextmanager
def _running(work: SampleWork, workers: int, stop: threading.Event) -> Iterator[Runner]:
    """Workers, or the caller itself."""
    if not workers:
        yield InProcess(work)
        return
    with WorkerPool(work, workers, stop) as pool:
        yield pool


def _all_dropped(number: int, last: Dropped) -> DataError:
    """Nothing can be used."""
    return DataError(
        f"{number} draws in a row were left out, the last one {last.id}: {last.detail}; "
        "mend the data or the stage's length"
    )


def _with_drops(state: LoaderState, lost: Sequence[tuple[str, int]]) -> LoaderState:
    """A state that also counts what was left out while its batches were built."""
    if not lost:
        return state
    counts = dict(state.dropped)
    for reason, number in lost:
        counts[reason] = counts.get(reason, 0) + number
    return LoaderState(state.next_draw, state.waiting, tuple(sorted(counts.items())), state.order)


def _ahead(batches: Batches, size: int, stop: threading.Event) -> Batches:
    """The same batches, prepared by a thread that ends when the iterator is closed."""
    ready: queue.Queue[Any] = queue.Queue(size)

    def put(item: Any) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def produce() -> None:
        try:
            with closing(batches):
                for item in batches:
                    if not put(item):
                        return
        except BaseException as error:  # handed to the consumer, who raises it
            put(error)

    thread = threading.Thread(target=produce, name="packed-loader", daemon=True)
    thread.start()
    try:
        while True:
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join(timeout=30)


def indices_by_source(sources: Sequence[str]) -> dict[str, list[int]]:
    """Dataset indices grouped by the source of each sample."""
    grouped: dict[str, list[int]] = {}
    for index, source in enumerate(sources):
        grouped.setdefault(source, []).append(index)
    return grouped
