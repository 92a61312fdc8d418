"""Samples to packed batches, ahead of the trainer and resumable to the sample.

The state handed out with each batch says what comes after it: the next draw of the mixture and which drawn samples
still wait in the packer's window. Encoding runs in a background thread (decoding and tokenising release the
interpreter lock), a bounded number of batches ahead.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from mimovl.data.mixture import Mixture
from mimovl.data.pack_index import WindowPacker
from mimovl.data.packing import collate
from mimovl.data.processor import Encoded, Processor
from mimovl.errors import DataError
from mimovl.types import PackedBatch, Sample

__all__ = ["LoaderState", "PackedLoader", "indices_by_source"]


@dataclass(frozen=True)
class LoaderState:
    """Where a loader stands."""

    next_draw: int = 0
    """Number of the loader's next draw."""
    waiting: tuple[int, ...] = ()
    """Dataset indices drawn but not yet packed, oldest first."""


class PackedLoader:
    """Endless packed batches.

    Args:
        read: dataset index to sample.
        mixture: which index comes next.
        processor: sample to tensors.
        length: tokens of a pack.
        state: where to start.
        window: drawn samples the packer chooses from.
        ahead: batches prepared in advance; 0 encodes in the caller's thread.
        lane: (number, count): take every ``count``-th draw from ``number`` on, so that ``count`` loaders side by side
            share out one mixture.

    Iterating yields ``(batch, state after it)``.

    Raises:
        DataError: while iterating, a sample longer than a pack (named with both numbers) or one that cannot be used.
    """

    def __init__(
        self,
        read: Callable[[int], Sample],
        mixture: Mixture,
        processor: Processor,
        length: int,
        *,
        state: LoaderState | None = None,
        window: int = 48,
        ahead: int = 4,
        lane: tuple[int, int] = (0, 1),
    ) -> None:
        self.read = read
        self.mixture = mixture
        self.processor = processor
        self.length = length
        self.state = state or LoaderState()
        self.window = window
        self.ahead = ahead
        self.lane = lane

    def __iter__(self) -> Generator[tuple[PackedBatch, LoaderState]]:
        return self._ahead() if self.ahead else self._batches()

    def _encode(self, index: int) -> Encoded:
        encoded = self.processor.encode(self.read(index))
        if encoded.num_tokens > self.length:
            raise DataError(
                f"sample {encoded.id} has {encoded.num_tokens} tokens, a pack holds {self.length}; "
                "raise the stage's length or make its pictures smaller; pictures are never cut"
            )
        return encoded

    def _batches(self) -> Generator[tuple[PackedBatch, LoaderState]]:
        start, waiting = self.state.next_draw, self.state.waiting
        lane, count = self.lane
        draws = islice(self.mixture.stream(start * count + lane), 0, None, count)
        packer = WindowPacker(self.length, window=self.window)
        held: dict[int, tuple[int, Encoded]] = {}  # in the packer: number -> (dataset index, sample), oldest first
        config = self.processor.config
        for number, index in enumerate(chain(waiting, draws)):
            encoded = self._encode(index)
            held[number] = (index, encoded)
            if not (chosen := packer.add(number, encoded.num_tokens)):
                continue
            batch = collate(
                [held.pop(place)[1] for place in chosen],
                visual_token_ids=(config.image_token_id, config.video_token_id),
                merge_unit=config.vision.merge_unit,
            )
            # A window narrower than the one the state was saved with hands out packs while samples still wait.
            still = (*(index for index, _ in held.values()), *waiting[number + 1 :])
            yield batch, LoaderState(start + max(0, number + 1 - len(waiting)), still)

    def _ahead(self) -> Generator[tuple[PackedBatch, LoaderState]]:
        """The same batches, prepared by a thread that ends when the iterator is closed."""
        ready: queue.Queue[Any] = queue.Queue(self.ahead)
        stop = threading.Event()

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
                for item in self._batches():
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
            thread.join(timeout=5)


def indices_by_source(sources: Sequence[str]) -> dict[str, list[int]]:
    """Dataset indices grouped by the source of each sample."""
    grouped: dict[str, list[int]] = {}
    for index, source in enumerate(sources):
        grouped.setdefault(source, []).append(index)
    return grouped
