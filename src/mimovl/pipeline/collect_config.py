"""What ``mimovl preference collect FILE --out DIR`` is told: prompts, the models that answer, and the one that judges.

prompts: runs/tiny/data/prompts
generators:
  sft: {checkpoint: runs/tiny/4-long-context/model}
  other: {load: "my_models.py:endpoint", arguments: {url: "http://127.0.0.1:8000/v1"}}
ranker: {load: "my_models.py:endpoint", arguments: {url: "http://127.0.0.1:8001/v1"}}
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from mimovl.preference.rank import PROMPT
from mimovl.recipe_model import RecipeModel

__all__ = ["CollectRecipe", "ModelSource"]

Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class ModelSource(RecipeModel):
    """A model that answers."""

    checkpoint: str = ""
    """A checkpoint folder, asked by the embedded engine."""
    load: str = ""
    """Or what makes one: package.module:function or file.py:function; it gives an object with ``generate``."""
    arguments: dict[str, Any] = {}
    """Keyword arguments of that call."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.checkpoint) == bool(self.load):
            raise ValueError("a model has either a checkpoint or a load; give one of the two")
        if self.checkpoint and self.arguments:
            raise ValueError("arguments belong to load; a checkpoint takes none")
        return self


class CollectRecipe(RecipeModel):
    """A collection of preferences (MiMo-VL §3.2)."""

    prompts: str
    """A dataset folder, or one of parquet files with messages; each conversation up to the user's last turn."""
    limit: Count | None = None
    """At most so many prompts, from the first."""
    generators: dict[Name, ModelSource] = Field(min_length=1)
    """The models that answer, by name."""
    ranker: ModelSource
    """The model that judges, each pair in both orders."""
    samples: Count = 1
    """Answers of each model to a prompt."""
    pairs_per_prompt: Count = 4
    """Most pairs of a prompt."""
    temperature: float = Field(default=1.0, ge=0)
    """Of the answers; rankings are greedy."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Of the answers."""
    max_tokens: Count = 512
    """Of an answer; a longer one is cut, and cut answers make no pairs."""
    ranking_tokens: Count = 16
    """Of the ranker's reply."""
    seed: int = 0
    """Of the answers."""
    question: str = PROMPT
    """What the ranker is asked after the conversation, with places {first} and {second}."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if missing := [place for place in ("{first}", "{second}") if place not in self.question]:
            raise ValueError(f"question lacks {missing[0]}, where an answer goes")
        return self
