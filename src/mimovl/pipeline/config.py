"""What a recipe says about a run as a whole: where it starts, its data, its base parts, its evaluation."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mimovl.curate.world import SOURCES, WorldConfig
from mimovl.recipe_model import RecipeModel
from mimovl.train.config import OptimizerConfig, StageConfig

__all__ = ["BaseConfig", "DataConfig", "EvaluateConfig", "LongConfig", "TokenizerConfig", "VisionBaseConfig"]

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


_WITHOUT_ANNOTATIONS = ("world/interleaved", "world/arithmetic", "world/text")


def _check_sources(where: str, names: dict[str, int] | dict[str, float]) -> None:
    for name in names:
        if name not in SOURCES:
            raise ValueError(f"{where} names source {name!r}; the embedded world has: {', '.join(SOURCES)}")


class LongConfig(RecipeModel):
    """Long samples: several items in one conversation, pictures and all, mostly with thought (stage 4)."""

    items: dict[str, Count] = {}
    """Long samples led by each source, which appear in mixtures as long/… instead of world/…."""
    join: int = Field(default=5, ge=2)
    """Items joined into one sample."""
    thinking_share: Share = 0.8
    """Share of their questions asked in thinking mode."""
    chain_weight: float = Field(default=6.0, ge=0)
    """Weight of four- to six-step arithmetic among the levels."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_sources("items", self.items)
        return self


class DataConfig(RecipeModel):
    """The samples of a run: made by the embedded world, or imported."""

    world: WorldConfig = WorldConfig()
    """What the embedded world draws."""
    train: dict[str, Count] = {}
    """Items made for training, by source."""
    long: LongConfig = LongConfig()
    """Long samples made for training."""
    heldout: dict[str, Count] = {}
    """Items made for evaluation, by source."""
    questions: int = Field(default=2, ge=1)
    """Most questions about one held-out picture, so that many pictures are seen."""
    prompts: dict[str, Count] = {}
    """Items made for reinforcement learning, by source; of the training split."""
    prompt_folders: tuple[str, ...] | None = None
    """Datasets that reinforcement learning asks instead, relative to the working directory; their samples have gold.
    Without either, imported data is asked itself."""
    thinking_share: Share = 0.3
    """Share of training questions asked in thinking mode."""
    thinking: dict[str, Share] = {}
    """The same for single sources, where it differs."""
    turns: int = Field(default=6, ge=1)
    """Most questions in one training conversation."""
    imported: str = ""
    """Folder with train/ and heldout/ made by mimovl import, relative to the working directory."""
    sources: dict[str, str] | None = None
    """Folders that training samples stream from, by the name mixtures give them, relative to the working directory:
    each made by mimovl, or of plain parquet files."""
    max_pixels: int | None = Field(default=None, ge=56 * 56)
    """Largest picture in pixels, kept with the checkpoints; unset keeps the starting checkpoint's. Imported data must
    have been imported with the same bound, since its boxes are in pixels of the resized picture."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for where in ("train", "heldout", "prompts"):
            _check_sources(where, getattr(self, where))
        if self.sources is not None and (self.imported or any(self.train.values()) or not self.sources):
            raise ValueError("sources names at least one folder, and stands alone: without train and imported")
        return self


class TokenizerConfig(RecipeModel):
    """A tokenizer of the run's own."""

    vocab_size: int = Field(default=1024, ge=300)
    """Tokens, bytes and control tokens included."""
    samples: int = Field(default=8000, ge=1)
    """Training samples it is learned from."""


class VisionBaseConfig(RecipeModel):
    """The vision tower's start: dense attribute prediction."""

    sources: dict[str, Annotated[float, Field(ge=0)]] = Field(min_length=1)
    """Relative weight of each source of pictures and clips."""
    steps: int = Field(ge=1)
    """Optimizer steps."""
    pictures: int = Field(default=32, ge=1)
    """Pictures of a step."""
    learning_rate: float = Field(default=3e-3, gt=0)
    """Peak learning rate of the tower."""
    head_learning_rate: float = Field(default=3e-3, gt=0)
    """Peak learning rate of the throwaway head."""
    warmup: Share = 0.03
    """Share of the steps over which the learning rate rises from zero."""
    final: Share = 0.02
    """Share of the peak learning rate that is left at the last step."""
    optimizer: OptimizerConfig = OptimizerConfig(name="muon", weight_decay=0.05)
    """How gradients become updates."""
    save_seconds: float = Field(default=60.0, gt=0)
    """A checkpoint to resume from is written at least this often."""
    workers: int | None = Field(default=None, ge=0)
    """Processes that draw pictures ahead of a tower that trains on a GPU; unset: it draws them itself."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_sources("sources", self.sources)
        if unseen := [name for name in self.sources if name in _WITHOUT_ANNOTATIONS]:
            raise ValueError(f"sources names {unseen[0]!r}, which has no annotated pictures for the vision tower")
        return self


class ReadingConfig(StageConfig):
    """A stage of learning to read pictures that are given by their attributes."""

    most: int | None = Field(default=None, ge=1)
    """Most objects, elements or events of a picture: first pictures of one, then of a few; unset for the world's."""
    guide: float = Field(default=0.3, ge=0)
    """Weight of telling a few heads where to look (pipeline/guide)."""
    thinking: dict[str, Share] = {}
    """Share of single sources' questions asked in thinking mode, where it differs from the base's."""


class BaseConfig(RecipeModel):
    """The parts a run of the published recipe would start from, made here: a vision tower and a language model."""

    tokenizer: TokenizerConfig = TokenizerConfig()
    """The tokenizer of the language model."""
    vision: VisionBaseConfig
    """The vision tower."""
    language: tuple[StageConfig, ...] = Field(min_length=1)
    """The language model, stage by stage: recall first, then text, worked arithmetic and pictures in words."""
    reading: tuple[ReadingConfig, ...] = ()
    """Last stages of the language model, with the attributes of every patch standing where a picture would."""
    turns: int = Field(default=6, ge=1)
    """Most questions in one conversation."""
    thinking_share: Share = 0.5
    """Share of its questions asked in thinking mode."""
    thinking: dict[str, Share] = {}
    """The same for single sources, where it differs."""
    chain_weight: float = Field(default=1.0, ge=0)
    """Weight of four- to six-step arithmetic among the levels."""


class EvaluateConfig(RecipeModel):
    """When and how checkpoints are evaluated."""

    after: tuple[str, ...] = ()
    """Names of the steps whose checkpoints are evaluated; empty for all of them."""
    questions: dict[str, Count] = {}
    """Most questions of a task after a step, by the step's name; a step not named here asks all."""
    start: bool = False
    """Evaluate the checkpoint the stages start from, too."""
    median: bool = False
    """Evaluate always answering the training median, too (counts and boxes)."""
    modes: tuple[Literal["no_think", "thinking"], ...] = ("no_think", "thinking")
    """Asked without thought, with thought, or both."""
    sampled: int | None = Field(default=None, ge=1)
    """Before and after reinforcement learning, answer so many questions of each task a second time, sampled as in
    reinforcement learning: its gain in the reward it maximises. Unset for none."""
    slots: int = Field(default=192, ge=1)
    """Sequences the engine runs at once."""
