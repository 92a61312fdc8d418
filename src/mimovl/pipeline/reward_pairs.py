"""The pairs of a reward model's recipe: made by the embedded world, or found in folders.

    DIR/pairs/train        of the world's training scenes
    DIR/pairs/calibration  of held-out scenes
    DIR/pairs/heldout      of other held-out scenes, some with the wrong answer the longer one

No scene is in two of them; what no pair can be made of (a question without a wrong answer like the right one) is passed
over.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from mimovl.atomic import AtomicDirectory
from mimovl.curate.world import build_item, key_hash, to_questions
from mimovl.curate.world.items import HELDOUT_MODULUS, WorldItem
from mimovl.curate.world.pairs import PairSet, answer_pair
from mimovl.data import PairFolder, Preference, write_pairs
from mimovl.pipeline.reward_config import PairsConfig, WorldPairsConfig
from mimovl.train import Progress
from mimovl.types import Sample

__all__ = ["PairSplits", "open_pairs", "world_pairs"]

PairSplit = Literal["train", "calibration", "heldout"]
_SPLITS: tuple[PairSplit, ...] = ("train", "calibration", "heldout")
_CALIBRATION = 3
"""One held-out scene in so many is for calibration."""


@dataclass(frozen=True)
class PairSplits:
    """The pairs of a recipe."""

    train: PairFolder
    calibration: PairFolder
    heldout: PairFolder


def open_pairs(
    config: PairsConfig, folder: Path, *, seed: int, ties: bool, progress: Progress | None = None
) -> PairSplits:
    """The pairs of a recipe, those of the world made first where they are not there yet.

    Args:
        config: the recipe's section.
        folder: DIR/pairs, for those of the world.
        seed: of the world.
        ties: False leaves ties out of training and calibration; held-out ones are reported either way.
        progress: shows how far it is.

    Raises:
        UsageError: a folder is not there.
        DataError: a folder has no parquet file, or one that cannot be read or lacks a column.
    """
    paths: dict[str, Path | str] = {name: getattr(config, name) for name in _SPLITS}
    if config.world:
        paths = {name: folder / name for name in _SPLITS}
        for name in _SPLITS:
            if not (folder / name).is_dir():
                with AtomicDirectory(folder / name) as directory:
                    write_pairs(directory.temporary, world_pairs(config.world, name, seed=seed, progress=progress))
    return PairSplits(
        PairFolder(paths["train"], ties=ties),
        PairFolder(paths["calibration"], ties=ties),
        PairFolder(paths["heldout"]),
    )


def world_pairs(
    config: WorldPairsConfig, split: PairSplit, *, seed: int, progress: Progress | None = None
) -> Iterator[Preference]:
    """The world's pairs of one split, the same for the same seed."""
    counts = getattr(config, split)
    done, total = 0, sum(counts.values())
    for source, count in counts.items():
        for item in _items(source, count, config, split, seed):
            yield from _item_pairs(item, config, split, seed)
            done += 1
            if progress and done % 100 == 0:
                progress.update(done, total, f"{split}: {source}")


def _items(source: str, count: int, config: WorldPairsConfig, split: PairSplit, seed: int) -> Iterator[WorldItem]:
    """Items of the split's own scenes."""
    side: Literal["train", "heldout"] = "train" if split == "train" else "heldout"
    index = 0
    while count:
        item = build_item(source, seed=seed, index=index, split=side, config=config.world)
        index += 1
        # Held-out keys share a remainder; the next digits of the hash part them once more.
        calibrates = int(key_hash(item.key), 16) // HELDOUT_MODULUS % _CALIBRATION == 0
        if split == "train" or calibrates == (split == "calibration"):
            count -= 1
            yield item


def _item_pairs(item: WorldItem, config: WorldPairsConfig, split: PairSplit, seed: int) -> Iterator[Preference]:
    rng = random.Random(f"{seed}/{item.id}/pairs")
    questions = {sample.messages[-1].text: sample for sample in to_questions(item)}
    made = 0
    for turn in rng.sample(item.turns, len(item.turns)):
        if made == config.per_item or turn.question not in questions:
            continue
        drawn = rng.random()
        kind: PairSet = "tie" if drawn < config.ties else "fair"
        if split == "heldout" and config.ties <= drawn < config.ties + config.longer_wrong:
            kind = "longer_wrong"
        pair = answer_pair(rng, item, turn, kind, config.world)
        if pair is None:
            continue
        made += 1
        sample = questions[turn.question]
        values = {one.name: getattr(sample, one.name) for one in fields(Sample)}
        values |= {"gold": None, "meta": {**sample.meta, "set": pair.set}}
        yield Preference(**values, chosen=pair.first, rejected=pair.second, tie=pair.set == "tie")
