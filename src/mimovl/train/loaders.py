"""What a stage reads: one loader for each pack of an optimizer step, and a list of what they had to leave out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mimovl.data import (
    Dropped,
    LoaderState,
    Mixture,
    PackedLoader,
    Processor,
    SampleFolders,
    find_index,
    indices_by_source,
    reshard,
)
from mimovl.data.lengths import peek_at
from mimovl.errors import DataError
from mimovl.store_format import MANIFEST_FILE
from mimovl.train.config import StageConfig
from mimovl.types import Sample

__all__ = ["DropList", "Samples", "data_digest", "stage_loaders"]

DROPPED_FILE = "dropped.jsonl"


class Samples(Protocol):
    """A dataset as the trainer sees it."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...

    @property
    def sources(self) -> Sequence[str]:
        """Source of each sample, without reading media."""
        ...


def stage_loaders(
    samples: Samples | SampleFolders,
    processor: Processor,
    stage: StageConfig,
    lanes: Sequence[int],
    saved: Sequence[Mapping[str, Any]],
    *,
    seed: int,
) -> list[PackedLoader]:
    """The loaders of the packs that this process computes.

    Args:
        samples: an indexed dataset, or folders to stream from.
        processor: sample to tensors.
        stage: its mixture, length, packs and way of loading.
        lanes: numbers of this process's packs in a step.
        saved: the states of all lanes at the resume point; empty at the beginning. Of another number of packs than the
            stage has now, they are shared out anew.
        seed: fixes the order of samples.

    Raises:
        DataError: the mixture cannot be drawn from, or a state is of other data.
    """
    loading = stage.loading
    if isinstance(samples, SampleFolders):
        rows = {"rows": loading.buffer} if loading else {}
        mixture = samples.mixture(stage.mixture, seed=seed, **rows)
    else:
        mixture = Mixture(indices_by_source(samples.sources), stage.mixture, seed=seed)
    states = [LoaderState.from_state_dict(values) for values in saved]
    if states and len(states) != stage.packs:
        states = reshard(states, stage.packs, mixture)
    options: dict[str, Any] = {}
    if loading:
        options = {
            **loading.model_dump(exclude={"buffer"}),
            "peek": partial(peek_at, samples),
            "lengths": _known_lengths(samples, processor),
        }
    return [
        PackedLoader(
            samples.__getitem__,
            mixture,
            processor,
            stage.length,
            state=states[lane] if states else None,
            lane=(lane, stage.packs),
            **options,
        )
        for lane in lanes
    ]


def _known_lengths(samples: Samples | SampleFolders, processor: Processor) -> np.ndarray | None:
    """Tokens of every sample, where ``mimovl lengths`` left them beside the data."""
    if isinstance(samples, SampleFolders):
        return samples.lengths(processor)
    folder = getattr(samples, "path", None)
    index = find_index(samples, processor, folder) if isinstance(folder, Path) else None
    return index.tokens if index else None


_COMPARED = 32
"""First draws by which data are told apart; as many more, evenly spread, where data says nothing of itself."""


def data_digest(samples: Samples | SampleFolders, loaders: Sequence[PackedLoader]) -> str:
    """Tells data apart, for people and machines to compare; empty in a process that draws nothing.

    Compared is what folders say of their files, how many samples there are, and the words and pictures of those that
    are drawn first.
    """
    if not loaders:
        return ""
    about = _told(samples)
    draws = list(islice(loaders[0].mixture.stream(), _COMPARED))
    spread = range(0, len(samples), max(1, len(samples) // _COMPARED)) if about is None else ()
    content = [_content(samples, index) for index in (*draws, *spread)]
    facts = [len(samples), loaders[0].mixture.order, about, draws, content]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    return f"{digest} ({len(samples):,} samples, the first drawn is {content[0][0]})"


def _told(samples: Samples | SampleFolders) -> Any:
    """What the data says of itself without being read: its fingerprint, or its folder's files; None for neither."""
    if told := getattr(samples, "fingerprint", None):
        return told
    folder = getattr(samples, "path", None)
    if not isinstance(folder, Path):
        return None
    if (manifest := folder / MANIFEST_FILE).is_file():
        facts = json.loads(manifest.read_text(encoding="utf-8"))
        return [facts.get(name) for name in ("recipe_hash", "counts", "files")]
    return sorted([str(path.relative_to(folder)), path.stat().st_size] for path in folder.rglob("*.parquet"))


def _content(samples: Samples | SampleFolders, index: int) -> list[str]:
    """A sample's id, and its words and pictures; these are named by the hashes of their bytes."""
    try:
        sample = peek_at(samples, index)[0]
    except DataError as error:
        return [f"number {index}, unreadable: {error}"]
    answers = [getattr(sample, name, "") for name in ("chosen", "rejected", "tie")]
    return [sample.id, repr((sample.messages, sorted(sample.media), answers))]


class DropList:
    """``dropped.jsonl`` of a stage: each sample that was left out, once, with the reason.

    Several processes may write one list.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / DROPPED_FILE
        self._seen: set[tuple[str, str]] = set()
        self._taken: dict[int, int] = {}
        written = self.path.read_bytes() if self.path.is_file() else b""
        self._torn = bool(written) and not written.endswith(b"\n")
        for line in written.split(b"\n"):
            try:
                entry = json.loads(line)
                self._seen.add((entry["id"], entry["reason"]))
            except (ValueError, KeyError, TypeError):
                continue  # torn by a kill; it will be met again

    def update(self, loaders: Iterable[PackedLoader]) -> None:
        """Write what was left out since the last time."""
        fresh: list[Dropped] = []
        for number, loader in enumerate(loaders):
            known = self._taken.get(number, 0)
            listed = loader.dropped[known:]
            self._taken[number] = known + len(listed)
            for one in listed:
                if (one.id, one.reason) not in self._seen:
                    self._seen.add((one.id, one.reason))
                    fresh.append(one)
        if fresh:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lines = [
                json.dumps({"id": one.id, "reason": one.reason, "detail": one.detail}, ensure_ascii=False) + "\n"
                for one in fresh
            ]
            with self.path.open("a", encoding="utf-8", newline="\n") as file:
                file.write("\n" * self._torn + "".join(lines))
            self._torn = False
