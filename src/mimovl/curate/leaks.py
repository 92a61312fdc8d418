"""Decontamination as a step of a pipeline: what a benchmark asks about goes, each drop with the item it came from.

    steps:
      - {step: decontaminate, against: [benchmarks/mmmu, questions.jsonl]}

The matching is that of ``decontaminate``: pictures in eight orientations by both hashes, questions by n-grams. For an
audit with pictures side by side, run ``mimovl decontaminate`` on the dataset. Reasons of drops: leaked_image,
leaked_text; what cannot be decoded stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Literal

from pydantic import Field

from mimovl.curate.benchmark_items import read_items
from mimovl.curate.decontaminate import Probes
from mimovl.curate.ngrams import NgramIndex
from mimovl.curate.signature import Signatures, sign
from mimovl.curate.step import Dropped, Result, Tools, WholeStep
from mimovl.errors import UsageError
from mimovl.types import Sample

__all__ = ["Decontaminate"]

_AT_ONCE = 1 << 14

Rows = list[tuple[int, int]]
"""Chunk and place of the sample that each signature is of."""


class Decontaminate(WholeStep):
    """Leave out what benchmarks ask about."""

    step: Literal["decontaminate"] = "decontaminate"
    """Take out what benchmarks hold."""
    against: tuple[str, ...] = Field(min_length=1)
    """Datasets, folders of pictures, or files of questions, see ``mimovl decontaminate``."""

    def observe(self, batch: Sequence[Sample], tools: Tools) -> Any:
        """Signatures of the pictures with the places of their samples, and what matched by text."""
        owners = [
            (place, media.data)
            for place, sample in enumerate(batch)
            for media in sample.media.values()
            if media.kind == "image"
        ]
        signatures, refused = sign(data for _, data in owners)
        places = [place for number, (place, _) in enumerate(owners) if number not in refused]
        index, names = _questions(self.against)
        texts = {}
        for place, sample in enumerate(batch):
            if found := index.find([message.text for message in sample.messages]):
                benchmark, item = names[found[0].item]
                texts[place] = f"{benchmark} {item}: {found[0].share:.0%} of its n-grams, first “{found[0].phrase}”"
        return signatures, places, texts

    def settle(self, observed: Iterator[Any], tools: Tools) -> dict[int, dict[int, tuple[str, str]]]:
        """Reason and detail of each sample to drop, by number of its chunk and place in it."""
        probes = Probes(item for path in self.against for item in read_items(path))
        if not probes.items:
            raise UsageError(f"decontaminate: nothing to check against in {', '.join(self.against)}")
        dropped: dict[int, dict[int, tuple[str, str]]] = {}
        waiting: list[Signatures] = []
        rows: Rows = []
        for number, (signatures, places, texts) in enumerate(observed):
            for place, detail in texts.items():
                dropped.setdefault(number, {})[place] = ("leaked_text", detail)
            waiting.append(signatures)
            rows += [(number, place) for place in places]
            if len(rows) >= _AT_ONCE:
                _match(probes, waiting, rows, dropped)
                waiting, rows = [], []
        if rows:
            _match(probes, waiting, rows, dropped)
        return dropped

    def decide(self, batch: Sequence[Sample], number: int, decision: Any, tools: Tools) -> list[Result]:
        """Drop what was decided."""
        dropped = decision.get(number, {})
        return [Dropped(*dropped[place]) if place in dropped else sample for place, sample in enumerate(batch)]


def _match(
    probes: Probes, waiting: list[Signatures], rows: Rows, dropped: dict[int, dict[int, tuple[str, str]]]
) -> None:
    """Look for the benchmarks' pictures among signatures; a picture says more than a text and takes its place."""
    for row, picture, detail in probes.find(Signatures.join(waiting)):
        number, place = rows[row]
        found = dropped.setdefault(number, {})
        if found.get(place, ("",))[0] != "leaked_image":
            benchmark, item = probes.items[probes.owners[picture][0]]
            found[place] = ("leaked_image", f"{benchmark} {item}: {detail}")


@lru_cache(maxsize=1)
def _questions(against: tuple[str, ...]) -> tuple[NgramIndex, list[tuple[str, str]]]:
    """The benchmarks' questions, and benchmark and id of each item."""
    items = [(item.benchmark, item.id, item.texts) for path in against for item in read_items(path, pictures=False)]
    index = NgramIndex((number, text) for number, (_, _, texts) in enumerate(items) for text in texts)
    return index, [(benchmark, name) for benchmark, name, _ in items]
