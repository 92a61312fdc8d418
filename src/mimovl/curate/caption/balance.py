"""Balance captions over metadata (MiMo-VL §2.2.1, after MetaCLIP, Xu et al. 2023, §3.3-3.4, and its worldwide sequel).

    1. match     every metadata entry that stands in a caption as a word
    2. count     how many captions hold each entry, over the whole set
    3. sample    an entry held by fewer than ``t`` captions is tail: p = 1; a head entry has p = t / count.
                 A caption stays if one of its entries lets it: with probability 1 - prod(1 - p)

A caption without any entry says nothing that the metadata knows, and is dropped. As drawn by MetaCLIP each entry throws
its own die; here one number, made from the seed and the caption's id, is compared with the probability that any of them
hits: the same distribution, and the same captions for any number of shards, workers or order.

Both languages share one tail threshold ``t``, or, as in the sequel, one share ``p`` of matches that lie in the tail,
from which each language gets its own ``t``. Written from the papers alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from mimovl.curate.caption.captions import caption_of, chance
from mimovl.curate.caption.metadata_file import load_matcher
from mimovl.curate.step import Dropped, Result, Tools, WholeStep
from mimovl.errors import DataError
from mimovl.types import Sample

__all__ = ["Balance", "BalanceDecision", "entry_probabilities", "keep_probabilities", "tail_threshold"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BalanceDecision:
    """What was settled: for every entry of the metadata how many captions hold it, and its probability."""

    counts: Ints
    probabilities: Floats
    thresholds: Mapping[str, int]
    """By language."""
    tail_shares: Mapping[str, float]
    """By language: the share of matches whose entry is tail."""


class Balance(WholeStep):
    """Keep what is rare, thin out what is common."""

    step: Literal["balance"] = "balance"
    metadata: str
    """File that ``mimovl curate metadata`` wrote, or a list of words, one a line."""
    threshold: int | None = Field(default=None, ge=1)
    """Captions of an entry, in any language, from which on it is thinned out (MetaCLIP: 20,000 of 400 million)."""
    tail_share: float | None = Field(default=None, gt=0, lt=1)
    """Instead of a threshold: the share of matches, in each language, that shall lie in entries not thinned out."""
    unmatched: Literal["drop", "keep"] = "drop"
    """What becomes of captions that hold no entry."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Balance:
        if (self.threshold is None) == (self.tail_share is None):
            raise ValueError("give threshold or tail_share, one of both")
        return self

    def observe(self, batch: Sequence[Sample], tools: Tools) -> tuple[Ints, Ints]:
        """Entries found in the shard and how many of its captions hold each."""
        matcher, _ = load_matcher(Path(self.metadata))
        _, entries = matcher.pairs([caption_of(sample) for sample in batch])
        found, counts = np.unique(entries, return_counts=True)
        return found, counts.astype(np.int64)

    def settle(self, observed: Iterator[Any], tools: Tools) -> BalanceDecision:
        """Counts of all shards, thresholds and probabilities."""
        _, entries = load_matcher(Path(self.metadata))
        counts = np.zeros(len(entries), dtype=np.int64)
        for found, number in observed:
            counts[found] += number
        languages = np.array([entry.language for entry in entries])
        thresholds, shares = {}, {}
        probabilities = np.ones(len(entries))
        for language in sorted(set(languages.tolist())):
            chosen = languages == language
            if self.threshold is not None:
                threshold = self.threshold
            else:
                assert self.tail_share is not None
                threshold = tail_threshold(counts[chosen], self.tail_share)
            probabilities[chosen] = entry_probabilities(counts[chosen], threshold)
            thresholds[language] = threshold
            total = int(counts[chosen].sum())
            tail = int(counts[chosen][counts[chosen] < threshold].sum())
            shares[language] = tail / total if total else 0.0
        return BalanceDecision(counts, probabilities, thresholds, shares)

    def decide(self, batch: Sequence[Sample], number: int, decision: Any, tools: Tools) -> list[Result]:
        """Keep by the hash of the id; the drop names the rarest entry and its numbers."""
        assert isinstance(decision, BalanceDecision)
        matcher, entries = load_matcher(Path(self.metadata))
        if len(entries) != len(decision.counts):
            raise DataError(
                f"{self.metadata} has {len(entries)} entries, {len(decision.counts)} when captions were counted; "
                "put the old file back, or start the run again"
            )
        rows, found = matcher.pairs([caption_of(sample) for sample in batch])
        likely = keep_probabilities(len(batch), rows, decision.probabilities[found])
        bounds = np.searchsorted(rows, np.arange(len(batch) + 1)).tolist()
        results: list[Result] = []
        for place, sample in enumerate(batch):
            mine = found[bounds[place] : bounds[place + 1]]
            if not len(mine):
                results.append(sample if self.unmatched == "keep" else Dropped("no_entry"))
            elif chance(tools.seed, "balance", sample.id) < likely[place]:
                results.append(sample)
            else:
                rarest = int(mine[np.argmin(decision.counts[mine])])
                detail = (
                    f"kept with probability {likely[place]:.4f}; the rarest of its {len(mine)} entries is "
                    f"{entries[rarest].text!r}, in {int(decision.counts[rarest])} captions"
                )
                results.append(Dropped("balanced_away", detail))
        return results


def entry_probabilities(counts: Ints, threshold: int) -> Floats:
    """min(1, threshold / count) of each entry, shape as ``counts``."""
    return np.minimum(1.0, threshold / np.maximum(counts, 1))


def keep_probabilities(texts: int, rows: Ints, probabilities: Floats) -> Floats:
    """1 - prod(1 - p) over the entries of each text, shape (texts,); 0 without entries.

    Args:
        texts: how many there are.
        rows: text of each match, ascending, shape (matches,).
        probabilities: of each match's entry, shape (matches,).
    """
    kept = np.zeros(texts)
    present, starts = np.unique(rows, return_index=True)
    if len(present):
        kept[present] = 1.0 - np.multiply.reduceat(1.0 - probabilities, starts)
    return kept


def tail_threshold(counts: Ints, share: float) -> int:
    """The least threshold that leaves at least this share of matches to entries below it, at least 1.

    Where no threshold short of the largest count does (a few words hold nearly everything), that count plus one.
    """
    ordered = np.sort(counts[counts > 0])
    if not len(ordered):
        return 1
    place = int(np.searchsorted(np.cumsum(ordered), share * ordered.sum() - 1e-9))
    return int(ordered[min(place, len(ordered) - 1)]) + 1
