"""The last stages of the base's language model: reading pictures that are given by their attributes.

A decoder from text has never looked anything up in a picture, and learns it slowly; with attributes in the place of
pixels (attribute_reader) it needs no tower for that. First pictures of one thing, where there is nothing to search,
then of a few, then all of them (docs/decisions/0004-a-base-that-reads.md).
"""

from __future__ import annotations

from pathlib import Path

import torch

from mimovl.curate.world import WorldConfig
from mimovl.data import Processor
from mimovl.model import load_checkpoint
from mimovl.model.hf_checkpoint import read_side_files
from mimovl.pipeline.attribute_reader import TABLE_FILE, AttributeModel, AttributeProcessor, with_attributes
from mimovl.pipeline.base_vision import VOCABULARY
from mimovl.pipeline.config import BaseConfig, ReadingConfig
from mimovl.pipeline.data import WorldSamples, with_chains
from mimovl.pipeline.progress import PartOf
from mimovl.team import ALONE, Team
from mimovl.train import Progress, train_stage
from mimovl.train.checkpoint import is_finished
from mimovl.train.distributed import own_device
from mimovl.train.parallel_config import ParallelConfig, torch_dtype
from mimovl.train.spread import TeamSpread
from mimovl.types import Sample

__all__ = ["ENDLESS", "learn_to_read"]

ENDLESS = 10**5
"""Items of each source of the base's endless data."""


def learn_to_read(
    start: Path,
    config: BaseConfig,
    world: WorldConfig,
    folder: Path,
    *,
    seed: int,
    progress: Progress | None = None,
    team: Team = ALONE,
    parallel: ParallelConfig | None = None,
) -> Path:
    """Train the decoder on pictures given by their attributes; the embedding of those is thrown away.

    Args:
        start: checkpoint of the language model so far.
        config: with at least one stage of ``reading``.
        world: what the embedded world draws.
        folder: DIR/base; each stage has a folder in it.
        seed: of data and weights.
        progress: shows how far it is.
        team: processes that share each step.
        parallel: gives the precision of matrix products and attention, and how many packs are computed at once.

    Returns:
        The last stage's checkpoint.
    """
    model = load_checkpoint(start)
    torch.manual_seed(seed)
    reader = AttributeModel(model.config, VOCABULARY)
    reader.load_state_dict(model.state_dict(), strict=False)
    plain = Processor.from_files(read_side_files(start), model.config, where=str(start))
    reader.start_from_words(plain.tokenizer, seed=seed + 1)
    processor = AttributeProcessor(
        plain.tokenizer, plain.template, plain.config, plain.image, plain.video, reader=reader
    )
    whole, before = sum(stage.steps for stage in config.reading), 0
    for number, stage in enumerate(config.reading):
        out = folder / stage.name
        if team.broadcast(is_finished(out)):
            reader.load_state_dict(load_checkpoint(out / "model").state_dict(), strict=False)
            reader.attributes.load_state_dict(torch.load(out / "model" / TABLE_FILE, map_location="cpu"))
        else:
            shown = PartOf(progress, before, stage.steps, whole) if progress else None
            samples = _Attributed(
                dict.fromkeys(stage.mixture, ENDLESS),
                _with_most(with_chains(world, config.chain_weight), stage),
                seed=seed + 1 + number,
                thinking_share=config.thinking_share,
                thinking={**config.thinking, **stage.thinking},
                turns=config.turns,
            )
            reader.guide_attention(plain.tokenizer, stage.guide)
            spread = team_spread(team, parallel)
            train_stage(reader, processor, samples, stage, out, seed=seed, progress=shown, spread=spread)
        before += stage.steps
    return folder / config.reading[-1].name / "model"


def team_spread(team: Team, parallel: ParallelConfig | None) -> TeamSpread:
    """Every process holds all of it, on its device; of what a recipe says, precision and packs at once are followed."""
    parallel = parallel or ParallelConfig()
    return TeamSpread(team, device=own_device(), dtype=torch_dtype(parallel.dtype), micro_packs=parallel.micro_packs)


class _Attributed(WorldSamples):
    """Samples whose pictures are given by their attributes."""

    def __getitem__(self, index: int) -> Sample:
        item, sample = self.make(index)
        return with_attributes(sample, item, VOCABULARY)


def _with_most(world: WorldConfig, stage: ReadingConfig) -> WorldConfig:
    """The world with at most so many things in a picture."""
    if stage.most is None:
        return world
    spans = {name: getattr(world, name) for name in ("objects", "gui_elements", "clip_objects")}
    fewer = {name: (min(low, stage.most), min(high, stage.most)) for name, (low, high) in spans.items()}
    return world.model_copy(update=fewer)
