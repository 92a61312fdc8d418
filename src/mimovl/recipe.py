"""A recipe: one YAML file that states a whole run, typed and strict.

    mimovl recipe explain recipes/tiny.yaml --set train.seed=1

This file holds the top of the tree; each section's model sits beside the code that reads it. Loading and its errors are
in ``recipe_load``; here are what one does with a loaded recipe: explain it, hash it, write it out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, Field, model_validator
from pydantic_core import to_jsonable_python
from rich import box
from rich.table import Table
from rich.text import Text

from mimovl.pipeline.config import BaseConfig, DataConfig, EvaluateConfig
from mimovl.recipe_load import Loaded, load_model
from mimovl.recipe_model import RecipeModel
from mimovl.recipe_yaml import dump_yaml
from mimovl.rl.config import RLConfig
from mimovl.suggest import nearest
from mimovl.train.config import StageConfig
from mimovl.train.parallel_config import ParallelConfig
from mimovl.train.trackers import TrackingConfig

__all__ = [
    "Explained",
    "Loaded",
    "Recipe",
    "dump_recipe",
    "explain",
    "explain_rows",
    "explain_text",
    "load_model",
    "load_recipe",
    "recipe_hash",
]


class Recipe(RecipeModel):
    """A whole run."""

    name: str
    """Name of the run; the report's title."""
    purpose: str = ""
    """What the run is for, in a sentence; the report opens with it."""
    seed: int = 0
    """Seed of everything random that has no seed of its own."""
    workers: int = Field(default=1, ge=1)
    """Processes that share each step's packs, prompts and questions, one thread each; results do not depend on it."""
    model: str = "tiny"
    """Preset of the model's shape, used where the run makes its own base parts."""
    start: str = "embedded"
    """Where the stages start: embedded (the shipped base parts), or a checkpoint folder."""
    fresh_projector: bool = True
    """Draw a new projector before the first stage, as the report does; false continues the checkpoint's own."""
    data: DataConfig = DataConfig()
    """The samples."""
    base: BaseConfig | None = None
    """Train base parts of the run's own before the stages, and start from them."""
    parallel: ParallelConfig | None = None
    """How the stages are spread over processes, and their precision; unset: one process, float32."""
    tracking: TrackingConfig | None = None
    """Who is told each step's figures besides metrics.jsonl; unset: nobody. It may change while a run goes on."""
    stages: tuple[StageConfig, ...] = ()
    """The stages of training, in order."""
    rl: RLConfig | None = None
    """Reinforcement learning after the last stage."""
    evaluate: EvaluateConfig = EvaluateConfig()
    """Evaluation after each step."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [stage.name for stage in self.stages] + ([self.rl.name] if self.rl else [])
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two steps are named {sorted(twice)[0]!r}; names must differ")
        for where, listed in (("after", self.evaluate.after), ("questions", self.evaluate.questions)):
            if unknown := [name for name in listed if name not in names]:
                raise ValueError(f"evaluate.{where} names step {unknown[0]!r}; the steps are: {', '.join(names)}")
        if self.data.sources and self.evaluate.median:
            raise ValueError("evaluate.median answers from imported training conversations; data.sources has none")
        known = list(self.data.sources or ())
        for stage in self.stages if known else ():
            if unknown := [name for name in stage.mixture if name not in known]:
                raise ValueError(
                    f"stage {stage.name} mixes in {unknown[0]!r}, which data.sources does not name; it has: "
                    f"{', '.join(known)}{nearest(unknown[0], known)}"
                )
        return self

    def parallel_of(self, stage: StageConfig) -> ParallelConfig:
        """How a stage is spread over processes: its own section, or the recipe's, or one process in float32."""
        return stage.parallel or self.parallel or ParallelConfig()


def load_recipe(path: Path | str, overrides: Sequence[str] = ()) -> Loaded[Recipe]:
    """Read a recipe file and apply ``a.b=value`` overrides.

    Raises:
        RecipeError: Names every problem with its path, line and cure (see ``recipe_load``).
    """
    return load_model(Recipe, path, overrides)


def recipe_hash(recipe: BaseModel) -> str:
    """SHA-256 of the effective values: equal for any way of writing the same recipe (key order, defaults, comments).

    Values that are not set do not count, so a new optional section leaves the hashes of older recipes alone.
    """
    values = recipe.model_dump(mode="json", exclude_none=True)
    return hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def dump_recipe(loaded: Loaded[Any]) -> str:
    """Every effective value as YAML; equal recipes give equal texts, and loading the text gives an equal recipe."""
    return dump_yaml(loaded.recipe.model_dump(mode="json"))


@dataclass(frozen=True)
class Explained:
    """One line of ``mimovl recipe explain``."""

    path: str
    """Dotted path as ``--set`` takes it."""
    value: str
    """Effective value as YAML on one line; empty for a section."""
    meaning: str
    origin: str
    """``recipes/tiny.yaml:12``, ``--set``, both, or ``default``."""


def explain_rows(loaded: Loaded[Any]) -> list[Explained]:
    """Every effective value in the order of the models, with its meaning and where it came from."""
    return list(_rows(loaded, loaded.recipe, "", ""))


def explain(loaded: Loaded[Any]) -> Table:
    """``explain_rows`` as a table for a terminal."""
    table = Table("value", "meaning", "from", title=loaded.path, title_justify="left", box=box.SIMPLE, pad_edge=False)
    for row in explain_rows(loaded):
        path = Text(row.path, style="bold" if not row.value else "")
        if row.value:
            path.append(f" = {row.value}", style="cyan")
        table.add_row(path, Text(row.meaning), Text(row.origin, style="dim" if row.origin == "default" else "green"))
    return table


def explain_text(loaded: Loaded[Any]) -> str:
    """``explain_rows`` as plain lines ``path = value  # meaning [origin]``, for files and pipes."""
    lines = []
    for row in explain_rows(loaded):
        comment = " ".join(filter(None, ("#", row.meaning, f"[{row.origin}]")))
        lines.append(f"{row.path}{' = ' + row.value if row.value else ':'}  {comment}")
    return "\n".join(lines)


def _rows(loaded: Loaded[Any], model: BaseModel, shown: str, dotted: str) -> Iterator[Explained]:
    """Rows below ``model``; ``shown`` names list items by their name, ``dotted`` by their index."""
    for key, info in type(model).model_fields.items():
        meaning = " ".join((info.description or "").split())
        yield from _value_rows(loaded, getattr(model, key), f"{shown}{key}", f"{dotted}{key}", meaning)


def _value_rows(loaded: Loaded[Any], value: Any, shown: str, dotted: str, meaning: str) -> Iterator[Explained]:
    items: list[tuple[str, str, Any]] | None = None
    if isinstance(value, list | tuple) and any(isinstance(item, BaseModel) for item in value):
        names = [str(getattr(item, "name", "")) for item in value]
        unique = all(names) and len(set(names)) == len(names)
        items = [(names[i] if unique else str(i), str(i), item) for i, item in enumerate(value)]
    elif isinstance(value, dict) and any(isinstance(item, BaseModel) for item in value.values()):
        items = [(str(key), str(key), item) for key, item in value.items()]
    if isinstance(value, BaseModel):
        yield Explained(shown, "", meaning, loaded.origin(dotted))
        yield from _rows(loaded, value, f"{shown}.", f"{dotted}.")
    elif items is not None:
        yield Explained(shown, "", meaning, loaded.origin(dotted))
        for name, index, item in items:
            yield from _value_rows(loaded, item, f"{shown}.{name}", f"{dotted}.{index}", _first_line(type(item)))
    else:
        yield Explained(shown, _inline(value), meaning, loaded.origin(dotted))


def _inline(value: Any) -> str:
    """A value as it would be written on one line of YAML."""
    return json.dumps(to_jsonable_python(value), ensure_ascii=False)


def _first_line(model: type) -> str:
    return (model.__doc__ or "").strip().partition("\n")[0]
