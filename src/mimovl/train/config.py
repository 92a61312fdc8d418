"""What a recipe says about training: optimizer, schedule, and the stages."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from mimovl.plan.workload import Workload
from mimovl.recipe_model import RecipeModel
from mimovl.train.parallel_config import ParallelConfig
from mimovl.train.spikes import SpikeConfig

__all__ = ["LoadingConfig", "OptimizerConfig", "PartName", "StageConfig"]

PartName = Literal["vision", "projector", "language", "attributes", "reward"]
"""Parts of the model; ``attributes`` is the throwaway embedding of the base (pipeline/attribute_reader), ``reward`` the
head of a reward model."""
Positive = Annotated[float, Field(gt=0)]


def _whole(value: Any) -> Any:
    """A whole number written as 300e9; anything else is left for the type to judge."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


TokenCount = Annotated[int, BeforeValidator(_whole), Field(ge=1)]


def _steps_of_tokens(stage: dict[str, Any]) -> int:
    """Steps that take a stage's tokens in full packs; 0 where it has none, or where packs and length are wrong."""
    tokens, packs, length = (stage.get(key) for key in ("tokens", "packs", "length"))
    return -(-tokens // (packs * length)) if tokens and packs and length else 0


class OptimizerConfig(RecipeModel):
    """How gradients become updates."""

    name: Literal["adamw", "muon"] = "adamw"
    """adamw everywhere, or muon for the matrices of the blocks and adamw for the rest. MiMo-7B uses adamw."""
    betas: tuple[float, float] = (0.9, 0.95)
    """Decay of adamw's first and second moment (MiMo-7B: 0.9, 0.95)."""
    weight_decay: float = Field(default=0.1, ge=0)
    """Decoupled weight decay of matrices; norms, biases and embeddings have none (MiMo-7B: 0.1)."""
    clip_norm: Positive = 1.0
    """Gradients with a larger global norm are scaled down to it (MiMo-7B: 1.0)."""
    momentum: float = Field(default=0.95, ge=0, lt=1)
    """Momentum of muon."""


class LoadingConfig(RecipeModel):
    """How samples are read ahead of the trainer: packed by their lengths alone, decoded by other processes."""

    workers: int = Field(default=2, ge=0)
    """Processes that read and decode, for each training process; 0 for a thread of its own."""
    ahead: int = Field(default=4, ge=1)
    """Packs prepared in advance; one of 8,192 tokens of pictures takes 150 MB."""
    window: int = Field(default=256, ge=1)
    """Drawn samples the packer chooses from, or more where these would not fill a pack; 256 fill those of 8K and 32K
    tokens to 99.8 %."""
    buffer: int = Field(default=4096, ge=1)
    """Samples of the buffer within which a source streamed from a folder is shuffled."""
    too_long: Literal["refuse", "drop"] = "refuse"
    """A sample longer than a pack stops the stage, or is left out, counted and listed."""
    damaged: Literal["refuse", "drop"] = "refuse"
    """The same for a sample or a file that cannot be read or used."""


class StageConfig(RecipeModel):
    """One stage of training: what is trained, on what, for how long, how fast."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    """Name of the stage; its folder is the stage's number and this name."""
    train: tuple[PartName, ...] = Field(min_length=1)
    """Parts whose parameters change: vision, projector, language. The others stay as they are, to the bit."""
    learning_rate: dict[PartName, Positive]
    """Peak learning rate of each trained part."""
    mixture: dict[str, Annotated[float, Field(ge=0)]] = Field(min_length=1)
    """Relative weight of each source, by sample drawn."""
    length: int = Field(ge=64)
    """Tokens of a pack; samples are laid end to end up to it and a picture is never cut."""
    packs: int = Field(default=1, ge=1)
    """Packs of an optimizer step; gradients add up and are divided by the tokens of all of them."""
    tokens: TokenCount | None = None
    """Tokens to train on, in place of steps."""
    steps: int = Field(default_factory=lambda data: _steps_of_tokens(data), ge=1)
    """Optimizer steps; with tokens in their place, as many as take them in full packs, rounded up."""
    warmup: float = Field(default=0.05, ge=0, le=1)
    """Share of the steps over which the learning rate rises from zero."""
    schedule: Literal["constant", "cosine", "linear"] = "cosine"
    """How the learning rate falls after the warm-up."""
    final: float = Field(default=0.1, ge=0, le=1)
    """Share of the peak learning rate that is left at the last step."""
    optimizer: OptimizerConfig = OptimizerConfig()
    """How gradients become updates."""
    parallel: ParallelConfig | None = None
    """How this stage is spread over processes, where it differs from the recipe's own section."""
    workload: Workload | None = None
    """What its packs are expected to hold; mimovl plan reckons with it."""
    save_seconds: Positive = 30.0
    """A checkpoint to resume from is written at least this often."""
    keep: int | None = Field(default=None, ge=1)
    """Checkpoints to resume from that are kept; unset: two."""
    spikes: SpikeConfig | None = None
    """What to do about a loss or gradient that is no number or far too high; unset: stop at the one, log the other."""
    loading: LoadingConfig | None = None
    """How other processes read samples ahead; unset for small samples, which a thread encodes as they are drawn."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.steps:
            raise ValueError(f"stage {self.name} has neither steps nor tokens; give one of them")
        if self.tokens and self.steps != (steps := _steps_of_tokens(self.model_dump())):
            raise ValueError(
                f"stage {self.name} has {self.steps} steps and {self.tokens} tokens, which are {steps} steps of "
                f"{self.packs} × {self.length}; take one of the two out, or make them agree"
            )
        if missing := [part for part in self.train if part not in self.learning_rate]:
            raise ValueError(f"stage {self.name} trains {missing[0]} but gives it no learning_rate")
        if idle := [part for part in self.learning_rate if part not in self.train]:
            raise ValueError(
                f"stage {self.name} gives {idle[0]} a learning_rate but does not train it; add it to train"
            )
        return self
