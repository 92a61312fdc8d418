"""Small recipe models that the recipe tests share; shaped like a real recipe, small enough to read at once."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from mimovl.recipe_model import RecipeModel


class Optimizer(RecipeModel):
    """One optimiser."""

    learning_rate: float = Field(1e-3, gt=0)
    """Peak learning rate."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Decay of the two moments."""
    kind: Literal["adamw", "muon"] = "adamw"
    """Update rule."""


class Stage(RecipeModel):
    """One stage of training."""

    name: str
    """Name of the stage."""
    steps: int
    """Number of optimiser steps."""
    optimizer: Optimizer = Optimizer(learning_rate=3e-3)
    """How weights are updated."""

    @model_validator(mode="after")
    def _muon_is_short(self) -> Stage:
        if self.optimizer.kind == "muon" and self.steps > 1000:
            raise ValueError(f"muon with {self.steps} steps; use at most 1000 or adamw")
        return self


class Local(RecipeModel):
    """The embedded engine."""

    kind: Literal["local"]
    """Which engine."""
    slots: int = 8
    """Sequences decoded at once."""


class Remote(RecipeModel):
    """An endpoint."""

    kind: Literal["remote"]
    """Which engine."""
    timeout: float = 30.0
    """Seconds to wait."""


class Run(RecipeModel):
    """A run."""

    name: str
    """Name of the run."""
    out: Path = Path("runs")
    """Where it is written."""
    mixture: dict[str, float] = {"world/ocr": 1.0}
    """Weight of each source."""
    stages: tuple[Stage, ...] = (Stage(name="projector", steps=3), Stage(name="vision", steps=4))
    """The stages, in order."""
    rl: Optimizer | None = None
    """Reinforcement learning, if any."""
    engine: Local | Remote = Local(kind="local")
    """What answers."""
    train: tuple[Literal["vision", "language"], ...] = Field(("vision",), min_length=1)
    """Parts that change."""
    limit: int | Literal["all"] = "all"
    """How many samples."""
