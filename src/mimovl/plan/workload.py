"""What a stage's packs are expected to hold: the figures ``mimovl plan`` cannot know before the data is seen."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mimovl.recipe_model import RecipeModel

__all__ = ["Workload"]

Share = Annotated[float, Field(ge=0, le=1)]


class Workload(RecipeModel):
    """The contents of a typical pack. Only mimovl plan reads it; training takes what the data give."""

    visual_share: Share = 0.5
    """Share of the tokens that stand for pictures and clips."""
    picture_tokens: int = Field(default=1024, ge=1)
    """Tokens of a typical picture, or of two frames of a clip; 1024 are 896 × 896 pixels."""
    sample_tokens: int | None = Field(default=None, ge=1)
    """Tokens of a typical sample; unset: the whole pack is one sample, the most attention there can be."""
    label_share: Share = 0.5
    """Share of the tokens that carry loss."""
