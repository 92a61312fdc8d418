"""Drawing samples from several sources by weight.

Every source is shuffled anew each epoch; the draw is a pure function of (seed, position), so a run that resumes at
sample n sees exactly what it would have seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mimovl.data.block_order import BlockOrder
from mimovl.errors import DataError

__all__ = ["Mixture"]


class Mixture:
    """An endless stream of sample indices.

    Args:
        indices: the samples of each source, or an order of them in which neighbours are read together.
        weights: relative weight of each source, by sample drawn; sources without weight are not drawn.
        seed: fixes the order.
        order: tells this data from other data, where a loader's state must not be used with another.

    Raises:
        DataError: a weighted source is unknown or empty, a weight is negative, or all are zero.
    """

    def __init__(
        self,
        indices: Mapping[str, Sequence[int] | BlockOrder],
        weights: Mapping[str, float],
        *,
        seed: int,
        order: str = "",
    ) -> None:
        for source, weight in weights.items():
            if source not in indices:
                raise DataError(f"the mixture names source {source!r}; the dataset has: {', '.join(sorted(indices))}")
            if not 0 <= weight < math.inf:
                raise DataError(
                    f"the mixture gives source {source!r} the weight {weight}; weights are 0 or more and finite"
                )
            if weight > 0 and not len(indices[source]):
                raise DataError(f"the mixture draws from source {source!r}, which has no sample")
        self.sources = sorted(source for source, weight in weights.items() if weight > 0)
        if not self.sources:
            raise DataError("the mixture has no source with a weight above 0")
        total = sum(weights[source] for source in self.sources)
        self.shares = np.array([weights[source] / total for source in self.sources])
        self.indices = {source: _members(indices[source]) for source in self.sources}
        self.seed = seed
        self.order = order

    def stream(self, start: int = 0) -> Iterator[int]:
        """Sample indices from draw number ``start`` on, for ever."""
        taken = dict.fromkeys(self.sources, 0)
        orders: dict[tuple[str, int], np.ndarray] = {}
        rng = np.random.default_rng([self.seed, 0])
        draw = 0
        while True:
            # Choices come in blocks, and whole blocks are counted off, so that resuming far into a run is quick.
            block = rng.choice(len(self.sources), size=1024, p=self.shares)
            if draw + len(block) <= start:
                for source, count in zip(self.sources, np.bincount(block, minlength=len(self.sources)), strict=True):
                    taken[source] += int(count)
                draw += len(block)
                continue
            for choice in block:
                source = self.sources[choice]
                number, taken[source] = taken[source], taken[source] + 1
                if draw >= start:
                    yield self._pick(source, number, orders)
                draw += 1

    def _pick(self, source: str, number: int, orders: dict[tuple[str, int], np.ndarray]) -> int:
        members = self.indices[source]
        epoch, place = divmod(number, len(members))
        key = [self.seed, 1, self.sources.index(source), epoch]
        if isinstance(members, BlockOrder):
            return members.pick(key, place)
        if (source, epoch) not in orders:
            orders.pop((source, epoch - 1), None)
            orders[source, epoch] = np.random.default_rng(key).permutation(len(members))
        return int(members[orders[source, epoch][place]])


def _members(indices: Sequence[int] | BlockOrder) -> np.ndarray | BlockOrder:
    return indices if isinstance(indices, BlockOrder) else np.asarray(indices)
