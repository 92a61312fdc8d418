"""The data step: the embedded world written as dataset directories.

    DIR/data/train     conversations and documents that train
    DIR/data/prompts   questions for reinforcement learning, of the training split
    DIR/data/heldout   questions that evaluate

Pictures whose perceptual hash equals that of a held-out picture are left out of train and prompts, and counted.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mimovl.curate.phash import phash64, phash64_clip
from mimovl.curate.world import WorldConfig, WorldItem, build_item, to_questions, to_training_sample
from mimovl.pipeline.config import DataConfig, LongConfig
from mimovl.store import Dataset, DatasetWriter
from mimovl.types import Gold, Media, Message, Part, Sample

__all__ = ["WorldSamples", "asked_in_training", "build_datasets", "heldout_questions", "item_hashes"]

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
    total = sum(map(sum, (config.train.values(), config.heldout.values(), config.prompts.values())))
    total += sum(config.long.items.values()) * config.long.join
    done = 0

    def tick(text: str, items: int = 1) -> None:
        nonlocal done
        done += items
        if done % 100 < items:
            advance(done, total, text)

    heldout: set[int] = set()
    writer = _writer(folder / "heldout", recipe_hash)
    for item, questions in heldout_questions(config.heldout, config.world, seed=seed, per_item=config.questions):
        heldout.update(item_hashes(item))
        for question in questions if writer else ():
            writer.add(question)  # type: ignore[union-attr]
        tick("held-out questions")
    _close(writer)

    writer = _writer(folder / "prompts", recipe_hash)
    if writer:
        for source, count in config.prompts.items():
            # Prompts are numbered far behind the training items, so the two share no item.
            for index in range(10**6, 10**6 + count):
                item = build_item(source, seed=seed, index=index, split="train", config=config.world)
                if heldout.intersection(item_hashes(item)):
                    writer.drop(item.id, "heldout_phash", "a picture looks like a held-out one")
                else:
                    for question in to_questions(item):
                        if question.task != "caption":
                            writer.add(question)
                tick("prompts")
    _close(writer)

    writer = _writer(folder / "train", recipe_hash)
    if writer:
        for sample, hashes, items in _training(config, seed):
            if heldout.intersection(hashes):
                writer.drop(sample.id, "heldout_phash", "a picture looks like a held-out one")
            else:
                writer.add(sample)
            tick("training samples", items)
    _close(writer)
    advance(total, total, "datasets")
    return _summary(folder)


def _training(config: DataConfig, seed: int) -> Iterator[tuple[Sample, list[int], int]]:
    """Training samples with the hashes of their pictures and the number of items they hold."""
    samples = WorldSamples(
        config.train, config.world, seed=seed, thinking_share=config.thinking_share, turns=config.turns
    )
    for index in range(len(samples)):
        item, sample = samples.make(index)
        yield sample, item_hashes(item), 1
    yield from _long_samples(config, config.long, seed)


def _long_samples(config: DataConfig, long: LongConfig, seed: int) -> Iterator[tuple[Sample, list[int], int]]:
    """Conversations that go on over several items, each with its own picture."""
    world = with_chains(config.world, long.chain_weight)
    for source, count in long.items.items():
        for number in range(count):
            rng = random.Random(f"{seed}/long/{source}/{number}")
            messages: list[Message] = []
            hashes: list[int] = []
            media: dict[str, Media] = {}
            first = 10**7 + number * long.join
            for index in range(first, first + long.join):
                item = build_item(source, seed=seed, index=index, split="train", config=world)
                part = to_training_sample(item, rng=rng, thinking_share=long.thinking_share, max_turns=config.turns)
                messages += part.messages
                media.update(part.media)
                hashes += item_hashes(item)
            name = source.replace("world/", "long/")
            sample = Sample(f"{name}/train-{seed}-{number}", tuple(messages), media, part.task, name, part.language)
            yield sample, hashes, long.join


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
        self.places = [(source, index) for source, count in counts.items() for index in range(count)]
        self.config = config
        self.seed = seed
        self.thinking_share = thinking_share
        self.turns = turns
        self.as_text = as_text

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Sample:
        return self.make(index)[1]

    @property
    def sources(self) -> list[str]:
        """Source of each sample."""
        return [source for source, _ in self.places]

    def make(self, index: int) -> tuple[WorldItem, Sample]:
        """Item and sample of a place."""
        source, number = self.places[index]
        item = build_item(source, seed=self.seed, index=number, split="train", config=self.config)
        sample = to_training_sample(
            item,
            rng=random.Random(f"{self.seed}/turns/{item.id}"),
            thinking_share=self.thinking_share,
            max_turns=self.turns,
            as_text=self.as_text,
        )
        return item, sample


def _writer(path: Path, recipe_hash: str) -> DatasetWriter | None:
    """A writer, or None where the dataset is finished."""
    return None if (path / "manifest.json").is_file() else DatasetWriter(path, recipe_hash=recipe_hash)


def _close(writer: DatasetWriter | None) -> None:
    if writer:
        writer.close()


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
