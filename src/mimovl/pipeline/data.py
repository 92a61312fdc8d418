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
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import accumulate
from pathlib import Path
from typing import Any

from mimovl.curate.phash import phash64, phash64_clip
from mimovl.curate.world import WorldConfig, WorldItem, build_item, to_questions, to_training_sample
from mimovl.curate.world.items import KEY_SEPARATOR
from mimovl.pipeline.config import DataConfig, LongConfig
from mimovl.store import Dataset, DatasetWriter
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
    counts: dict[str, int], config: WorldConfig, *, seed: int, per_item: int
) -> Iterator[tuple[WorldItem, list[Sample]]]:
    """Held-out items with up to ``per_item`` of their gradable questions each."""
    for source, count in counts.items():
        for index in range(count):
            item = build_item(source, seed=seed, index=index, split="heldout", config=config)
            samples = to_questions(item)
            chosen = random.Random(f"{seed}/{item.id}").sample(samples, min(per_item, len(samples)))
            yield item, chosen


def build_datasets(
    config: DataConfig, folder: Path, *, seed: int, recipe_hash: str, advance: Advance
) -> dict[str, Any]:
    """Write the three datasets, those that are not there yet.

    Args:
        config: how many items of each source.
        folder: DIR/data.
        seed: of the world.
        recipe_hash: kept in the manifests.
        advance: told of every hundredth item.

    Returns:
        Counts by source, drops by reason, and how many training pictures matched a held-out one.
    """
    if is_built(folder):
        return _summary(folder)
    total = sum(map(sum, (config.train.values(), config.heldout.values(), config.prompts.values())))
    total += sum(config.long.items.values()) * config.long.join
    done = 0

    def tick(text: str, items: int = 1) -> None:
        nonlocal done
        done += items
        if done % 100 < items:
            advance(done, total, text)

    heldout: set[int] = set()
    with _writer(folder / "heldout", recipe_hash) as writer:
        for item, questions in heldout_questions(config.heldout, config.world, seed=seed, per_item=config.questions):
            heldout.update(item_hashes(item))
            if writer:
                for question in questions:
                    writer.add(question)
            tick("held-out questions")
    trained: set[int | str] = set()
    with _writer(folder / "train", recipe_hash) as writer:
        for sample, items in _training(config, seed):
            hashes = {number for item in items for number in item_hashes(item)}
            trained.update(hashes, *(item.key.split(KEY_SEPARATOR) for item in items))
            if writer and heldout & hashes:
                writer.drop(sample.id, "heldout_phash", "a picture looks like a held-out one")
            elif writer:
                writer.add(sample)
            tick("training samples", len(items))
    with _writer(folder / "prompts", recipe_hash) as writer:
        for item in _prompt_items(config, seed) if writer else ():
            hashes = set(item_hashes(item))
            if heldout & hashes:
                writer.drop(item.id, "heldout_phash", "a picture looks like a held-out one")
            elif trained & hashes or trained.intersection(item.key.split(KEY_SEPARATOR)):
                writer.drop(item.id, "trained_scene", "its scene or a picture like it is trained on")
            else:
                for question in to_questions(item):
                    if question.task != "caption":
                        writer.add(question)
            tick("prompts")
    advance(total, total, "datasets")
    return _summary(folder)


def is_built(folder: Path) -> bool:
    """Whether all three datasets are there."""
    return all(_is_written(folder / name) for name in ("heldout", "prompts", "train"))


def _prompt_items(config: DataConfig, seed: int) -> Iterator[WorldItem]:
    """Items asked about in reinforcement learning, numbered far behind the training items: the two share none."""
    for source, count in config.prompts.items():
        for index in range(10**6, 10**6 + count):
            yield build_item(source, seed=seed, index=index, split="train", config=config.world)


def _training(config: DataConfig, seed: int) -> Iterator[tuple[Sample, list[WorldItem]]]:
    """Training samples, each with the items it is made of."""
    samples = WorldSamples(
        config.train, config.world, seed=seed, thinking_share=config.thinking_share, turns=config.turns
    )
    for index in range(len(samples)):
        item, sample = samples.make(index)
        yield sample, [item]
    yield from _long_samples(config, config.long, seed)


def _long_samples(config: DataConfig, long: LongConfig, seed: int) -> Iterator[tuple[Sample, list[WorldItem]]]:
    """Conversations that go on over several items, each with its own picture."""
    world = with_chains(config.world, long.chain_weight)
    for source, count in long.items.items():
        for number in range(count):
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
            yield sample, items


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
        as_text: bool = False,
    ) -> None:
        self.counts = dict(counts)
        self._ends = list(accumulate(counts.values()))
        self.config = config
        self.seed = seed
        self.thinking_share = thinking_share
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
            thinking_share=self.thinking_share,
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
