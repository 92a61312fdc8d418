"""The data step: the embedded world written as dataset directories.

    DIR/data/train     conversations and documents that train
    DIR/data/prompts   questions for reinforcement learning, of the training split
    DIR/data/heldout   questions that evaluate

The three share no scene and no picture: held-out scenes by the world's split, and what looks like a held-out picture
(by perceptual hash) is left out of train and prompts, what was trained on is left out of prompts; all of it counted.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

from mimovl.curate.phash import phash64, phash64_clip
from mimovl.curate.world import WorldConfig, WorldItem, build_item, to_questions, to_training_sample
from mimovl.curate.world.items import KEY_SEPARATOR
from mimovl.pipeline.config import DataConfig
from mimovl.store import Dataset, DatasetWriter
from mimovl.team import ALONE, Team
from mimovl.types import Gold, Media, Message, Part, Sample

__all__ = ["WorldSamples", "asked_in_training", "build_datasets", "heldout_questions", "is_built", "item_hashes"]

Advance = Callable[[int, int, str], None]
"""Called with (items made, items in all, what is being made)."""


def item_hashes(item: WorldItem) -> list[int]:
    """Perceptual hashes of an item's pictures, or of its clip."""
    if item.frames:
        return [phash64_clip(item.frames)]
    pictures = [item.image] if item.image is not None else []
    pictures += [piece for piece in item.document if not isinstance(piece, str)]
    return [phash64(picture) for picture in pictures]


def heldout_questions(
    counts: Mapping[str, int], config: WorldConfig, *, seed: int, per_item: int
) -> Iterator[tuple[WorldItem, list[Sample]]]:
    """Held-out items with up to ``per_item`` of their gradable questions each."""
    for source, number in _places(counts):
        yield _heldout_item(source, number, config, seed=seed, per_item=per_item)


def _heldout_item(
    source: str, number: int, config: WorldConfig, *, seed: int, per_item: int
) -> tuple[WorldItem, list[Sample]]:
    item = build_item(source, seed=seed, index=number, split="heldout", config=config)
    samples = to_questions(item)
    return item, random.Random(f"{seed}/{item.id}").sample(samples, min(per_item, len(samples)))


def build_datasets(
    config: DataConfig, folder: Path, *, seed: int, recipe_hash: str, advance: Advance, team: Team = ALONE
) -> dict[str, Any]:
    """Write the three datasets, those that are not there yet.

    Args:
        config: how many items of each source.
        folder: DIR/data.
        seed: of the world.
        recipe_hash: kept in the manifests.
        advance: told of every hundredth item.
        team: processes that make the items; its leader writes them.

    Returns:
        Counts by source, drops by reason, and how many training pictures matched a held-out one.
    """
    if not team.broadcast(is_built(folder)):
        _build(config, folder, seed, recipe_hash, advance, team)
    team.wait()
    return _summary(folder)


@dataclass(frozen=True)
class _Made:
    """What was made of one place of a dataset."""

    id: str
    scenes: tuple[str, ...]
    hashes: frozenset[int]
    """Of its pictures and clips."""
    samples: tuple[Sample, ...]
    items: int = 1

    @staticmethod
    def of(id: str, items: Sequence[WorldItem], samples: Iterable[Sample]) -> _Made:
        """From the items behind the samples."""
        scenes = tuple(scene for item in items for scene in item.key.split(KEY_SEPARATOR))
        hashes = frozenset(number for item in items for number in item_hashes(item))
        return _Made(id, scenes, hashes, tuple(samples), len(items))


def _build(config: DataConfig, folder: Path, seed: int, recipe_hash: str, advance: Advance, team: Team) -> None:
    total = sum(map(sum, (config.train.values(), config.heldout.values(), config.prompts.values())))
    total += sum(config.long.items.values()) * config.long.join
    done = 0

    def tick(text: str, made: _Made) -> None:
        nonlocal done
        done += made.items
        if done % 100 < made.items:
            advance(done, total, text)

    def writer(name: str) -> Any:
        return _writer(folder / name, recipe_hash) if team.leads else nullcontext()

    heldout: set[int] = set()
    with writer("heldout") as dataset:
        for made in team.work_off(partial(_make_heldout, config, seed), _places(config.heldout)):
            heldout |= made.hashes
            for sample in made.samples if dataset else ():
                dataset.add(sample)
            tick("held-out questions", made)
    trained: set[int | str] = set()
    with writer("train") as dataset:
        samples = _training(config, seed)
        work = partial(_make_training, config, seed, samples)
        for made in team.work_off(work, [*range(len(samples)), *_places(config.long.items)]):
            trained.update(made.hashes, made.scenes)
            if dataset and heldout & made.hashes:
                dataset.drop(made.id, "heldout_phash", "a picture looks like a held-out one")
            elif dataset:
                dataset.add(made.samples[0])
            tick("training samples", made)
    with writer("prompts") as dataset:
        if team.broadcast(dataset is None):
            return
        for made in team.work_off(partial(_make_prompts, config, seed), _places(config.prompts)):
            if heldout & made.hashes:
                dataset.drop(made.id, "heldout_phash", "a picture looks like a held-out one")
            elif trained & made.hashes or trained.intersection(made.scenes):
                dataset.drop(made.id, "trained_scene", "its scene or a picture like it is trained on")
            else:
                for sample in made.samples:
                    dataset.add(sample)
            tick("prompts", made)
    advance(total, total, "datasets")


def _places(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Source and number of every item."""
    return [(source, number) for source, count in counts.items() for number in range(count)]


def _make_heldout(config: DataConfig, seed: int, place: tuple[str, int]) -> _Made:
    item, samples = _heldout_item(*place, config.world, seed=seed, per_item=config.questions)
    return _Made.of(item.id, [item], samples)


def _make_training(config: DataConfig, seed: int, samples: WorldSamples, place: int | tuple[str, int]) -> _Made:
    if isinstance(place, tuple):
        sample, items = _long_sample(config, *place, seed=seed)
        return _Made.of(sample.id, items, [sample])
    item, sample = samples.make(place)
    return _Made.of(sample.id, [item], [sample])


def _make_prompts(config: DataConfig, seed: int, place: tuple[str, int]) -> _Made:
    """An item asked about in reinforcement learning, numbered far behind the training items: the two share none."""
    source, number = place
    item = build_item(source, seed=seed, index=10**6 + number, split="train", config=config.world)
    return _Made.of(item.id, [item], (question for question in to_questions(item) if question.task != "caption"))


def is_built(folder: Path) -> bool:
    """Whether all three datasets are there."""
    return all(_is_written(folder / name) for name in ("heldout", "prompts", "train"))


def _training(config: DataConfig, seed: int) -> WorldSamples:
    """The ordinary training samples."""
    return WorldSamples(
        config.train,
        config.world,
        seed=seed,
        thinking_share=config.thinking_share,
        thinking=config.thinking,
        turns=config.turns,
    )


def _long_sample(config: DataConfig, source: str, number: int, *, seed: int) -> tuple[Sample, list[WorldItem]]:
    """A conversation that goes on over several items, each with its own picture; and those items."""
    long = config.long
    world = with_chains(config.world, long.chain_weight)
    rng = random.Random(f"{seed}/long/{source}/{number}")
    messages: list[Message] = []
    items: list[WorldItem] = []
    media: dict[str, Media] = {}
    first = 10**7 + number * long.join
    for index in range(first, first + long.join):
        item = build_item(source, seed=seed, index=index, split="train", config=world)
        part = to_training_sample(item, rng=rng, thinking_share=long.thinking_share, max_turns=config.turns)
        messages += part.messages
        media.update(part.media)
        items.append(item)
    name = source.replace("world/", "long/")
    sample = Sample(f"{name}/train-{seed}-{number}", tuple(messages), media, part.task, name, part.language)
    return sample, items


def with_chains(config: WorldConfig, weight: float) -> WorldConfig:
    """The same world with long arithmetic chains among the levels."""
    return config.model_copy(update={"arithmetic_levels": {**config.arithmetic_levels, "chain": weight}})


def asked_in_training(dataset: Dataset) -> Iterator[Sample]:
    """The questions of imported training conversations, one sample each, with their gold answers."""
    for sample in dataset:
        for question, gold in sample.meta.get("golds", {}).items():
            message = Message("user", (Part("text", question),))
            yield Sample(f"{sample.id}?{question}", (message,), gold=Gold(gold["kind"], gold["answer"]))


class WorldSamples:
    """Training samples made when asked for: an endless dataset for the base parts.

    Args:
        counts: items of each source.
        config: what the world draws.
        seed: of the world.
        thinking_share: share of questions asked in thinking mode.
        thinking: the same for single sources.
        turns: most questions of a conversation.
        as_text: put descriptions in place of pictures.
    """

    def __init__(
        self,
        counts: dict[str, int],
        config: WorldConfig,
        *,
        seed: int,
        thinking_share: float,
        turns: int,
        thinking: Mapping[str, float] | None = None,
        as_text: bool = False,
    ) -> None:
        self.counts = dict(counts)
        self._ends = list(accumulate(counts.values()))
        self.config = config
        self.seed = seed
        self.thinking_share = thinking_share
        self.thinking = dict(thinking or {})
        self.turns = turns
        self.as_text = as_text

    def __len__(self) -> int:
        return sum(self.counts.values())

    def __getitem__(self, index: int) -> Sample:
        return self.make(index)[1]

    @property
    def sources(self) -> list[str]:
        """Source of each sample."""
        return [source for source, count in self.counts.items() for _ in range(count)]

    def make(self, index: int) -> tuple[WorldItem, Sample]:
        """Item and sample of a place."""
        if not 0 <= index < len(self):
            raise IndexError(f"there are {len(self)} samples, asked for number {index}")
        place = bisect_right(self._ends, index)
        source = list(self.counts)[place]
        number = index - (self._ends[place] - self.counts[source])
        item = build_item(source, seed=self.seed, index=number, split="train", config=self.config)
        sample = to_training_sample(
            item,
            rng=random.Random(f"{self.seed}/turns/{item.id}"),
            thinking_share=self.thinking.get(source, self.thinking_share),
            max_turns=self.turns,
            as_text=self.as_text,
        )
        return item, sample


def _is_written(path: Path) -> bool:
    return (path / "manifest.json").is_file()


def _writer(path: Path, recipe_hash: str) -> Any:
    """A context with a writer, or with None where the dataset is finished."""
    return nullcontext() if _is_written(path) else DatasetWriter(path, recipe_hash=recipe_hash)


def _summary(folder: Path) -> dict[str, Any]:
    manifests = {name: Dataset.open(folder / name).manifest for name in ("train", "prompts", "heldout")}
    dropped: dict[str, int] = {}
    for manifest in manifests.values():
        for reason, count in manifest["counts"]["dropped"].items():
            dropped[reason] = dropped.get(reason, 0) + count
    return {
        "counts": dict(manifests["train"]["counts"]["by_source"]),
        "prompts": manifests["prompts"]["counts"]["kept"],
        "heldout": manifests["heldout"]["counts"]["kept"],
        "dropped": dropped,
        "heldout_phash_removed": dropped.get("heldout_phash", 0),
    }
