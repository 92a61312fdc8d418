"""Which samples share a pack, decided from their lengths alone, in one pass and with a bounded window.

The textbook way, best fit decreasing, sorts the whole corpus first: it cannot start before every length is known, nor
stop in the middle. Here at most ``window`` samples wait, or as many more as it takes to fill a pack. When there are
that many one pack leaves: the oldest sample, so that none waits for ever, then again and again the longest that still
fits. The long tail of short samples that stay in the window fills the ends of the packs: above 99.5 % of the tokens on
the mixes of ``benchmarks/packing.py``.

The waiting samples are the whole state, so a packer restored in mid-epoch makes the same packs.
MiMo-VL trains at 8K and 32K tokens (paper, Table 1) and packs, as its note on the learning rate of stage 4 tells;
how is not told, so the rule is ours. Speed and density beside TRL's packer: ``python benchmarks/packing.py``.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import index as exact

from mimovl.errors import DataError

__all__ = ["PackerState", "WindowPacker", "pack"]

WINDOW = 1024

# A waiting sample is one integer, length above, arrival below: a sorted list of these is searched far faster than
# one of tuples. Arrivals count down, so that of equally long samples the oldest comes last and is taken first.
_ARRIVAL_BITS = 40
_LAST_ARRIVAL = (1 << _ARRIVAL_BITS) - 1


@dataclass(frozen=True)
class PackerState:
    """Where a packer stands; plain numbers, so that JSON holds it."""

    num_added: int = 0
    """Samples added so far: the place in the stream to go on from."""
    waiting: tuple[tuple[int, int], ...] = ()
    """(index, tokens) of the samples not yet in a pack, oldest first."""


class WindowPacker:
    """Packs a stream of samples, one by one.

    Args:
        max_length: tokens of a pack.
        window: samples the packer chooses from; fewer than these wait between two calls, or fewer tokens than a pack.
        state: where to start.

    Raises:
        DataError: ``max_length`` or ``window`` below 1, or a state with more waiting samples than the window leaves
            room for, or with one that can be in no pack.
    """

    def __init__(self, max_length: int, *, window: int = WINDOW, state: PackerState | None = None) -> None:
        if max_length < 1:
            raise DataError(f"max_length is {max_length} tokens; a pack holds 1 or more")
        if window < 1:
            raise DataError(f"window is {window} samples; the packer chooses from 1 or more")
        state = state or PackerState()
        if len(state.waiting) >= max(2, window) and sum(length for _, length in state.waiting) >= max_length:
            raise DataError(
                f"the state holds {len(state.waiting)} waiting samples, a window of {window} leaves {window - 1}; "
                "restore with the window it was saved with"
            )
        self.max_length = max_length
        self.window = window
        self._num_added = state.num_added - len(state.waiting)
        self._arrivals = 0
        self._waiting: OrderedDict[int, tuple[int, int]] = OrderedDict()  # arrival -> (index, tokens), oldest first
        self._sorted: list[int] = []  # the same samples as integers, shortest first
        self._tokens = 0
        for index, length in state.waiting:
            self._put(index, length)

    def add(self, index: int, length: int) -> list[int]:
        """Take one more sample.

        Args:
            index: the caller's number of the sample.
            length: its tokens.

        Returns:
            The pack that is finished now, as indices in the order they were added; empty while the window fills, and
            while all that waits would not fill a pack.

        Raises:
            DataError: the sample is longer than a pack, or empty. The packer stays as it was.
        """
        self._put(exact(index), exact(length))
        return self._take() if len(self._sorted) >= self.window and self._tokens >= self.max_length else []

    def _put(self, index: int, length: int) -> None:
        if length > self.max_length:
            raise DataError(
                f"sample {index} has {length} tokens, a pack holds {self.max_length} (max_length); "
                "raise max_length or drop the sample"
            )
        if length < 1:
            raise DataError(f"sample {index} has {length} tokens, a pack takes samples of 1 or more; drop the sample")
        self._waiting[self._arrivals] = (index, length)
        insort(self._sorted, _key(length, self._arrivals))
        self._arrivals += 1
        self._num_added += 1
        self._tokens += length

    def finish(self) -> Iterator[list[int]]:
        """The packs of the samples still waiting, for the end of a stream; the packer can be used again after it."""
        while self._sorted:
            yield self._take()

    def state(self) -> PackerState:
        """The state after the last pack handed out, also between two packs of ``finish``."""
        return PackerState(self._num_added, tuple(self._waiting.values()))

    def _take(self) -> list[int]:
        waiting, ordered = self._waiting, self._sorted
        oldest = next(iter(waiting))
        length = waiting[oldest][1]
        del ordered[bisect_left(ordered, _key(length, oldest))]
        chosen = [oldest]
        room = self.max_length - length
        place = len(ordered)
        # What is left is never longer than what was taken before it, so each search ends where the last one did.
        while room and (place := bisect_left(ordered, (room + 1) << _ARRIVAL_BITS, 0, place)):
            place -= 1
            key = ordered.pop(place)
            chosen.append(_LAST_ARRIVAL - (key & _LAST_ARRIVAL))
            room -= key >> _ARRIVAL_BITS
        self._tokens -= self.max_length - room
        return [waiting.pop(arrival)[0] for arrival in sorted(chosen)]


def pack(lengths: Iterable[int], max_length: int, *, window: int = WINDOW) -> list[list[int]]:
    """Pack an index of lengths.

    Args:
        lengths: tokens of each sample.
        max_length: tokens of a pack.
        window: samples the packer chooses from; a wider one is a little denser and slower.

    Returns:
        Indices of the samples in each pack, ascending; every sample in exactly one; packs in the order of their
        first sample.

    Raises:
        DataError: a sample longer than a pack, named with both numbers; an empty sample; a bound below 1.
    """
    packer = WindowPacker(max_length, window=window)
    packs = [full for index, length in enumerate(lengths) if (full := packer.add(index, length))]
    return [*packs, *packer.finish()]


def _key(length: int, arrival: int) -> int:
    return length << _ARRIVAL_BITS | _LAST_ARRIVAL - arrival
