"""What ``mimovl curate RECIPE --out DIR`` is told.

name: photos
read:
  - {reader: images, path: photos/}
steps:
  - {step: check_pictures, least_side: 64}
  - {step: deduplicate}
models:
  captioner: {checkpoint: runs/tiny/4-long-context/model}
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, create_model

from mimovl.curate.pipeline.plan import Limits
from mimovl.curate.pipeline.registry import choice
from mimovl.errors import RecipeError, UsageError
from mimovl.pipeline.collect_config import ModelSource
from mimovl.recipe_load import Loaded, load_model
from mimovl.recipe_model import RecipeModel
from mimovl.recipe_yaml import read_yaml, read_yaml_file

__all__ = ["CurateRecipe", "LimitsConfig", "load_curation"]

Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class LimitsConfig(RecipeModel):
    """How much is held and done at once."""

    task_items: Count = Limits.task_items
    """Records of a task, about: what is lost when a worker is."""
    task_units: Count = Limits.task_units
    """Pieces of input of a task, at most."""
    chunk_items: Count = Limits.chunk_items
    """Records handed to a step at once, at most."""
    chunk_bytes: Count = Limits.chunk_bytes
    """Bytes of media and text handed to a step at once."""
    shard_bytes: Count = Limits.shard_bytes
    """Size at which a file of the dataset is closed and the next begun."""
    attempts: Count = Limits.attempts
    """Tries of a task whose worker died."""


class RayConfig(RecipeModel):
    """Workers on several machines; files must lie at the same paths on all of them."""

    address: str = "auto"
    """Of the cluster; auto finds the one this machine belongs to."""
    workers: Count = 2
    """Tasks at once, one processor each."""


class CurateRecipe(RecipeModel):
    """A curation: sources, and the steps their records go through in order."""

    name: str
    """Name of the curation."""
    purpose: str = ""
    """What it is for, in a sentence."""
    seed: int = 0
    """Seed of everything random; the same seed gives the same samples for any number of workers."""
    workers: int = Field(default=1, ge=0)
    """Processes; 0 does everything in this one. The output does not depend on it."""
    ray: RayConfig | None = None
    """Use Ray's workers instead."""
    read: tuple[Any, ...] = Field(min_length=1)
    """The sources, one after the other."""
    steps: tuple[Any, ...] = ()
    """The steps, in order."""
    models: dict[Name, ModelSource] = {}
    """Models that steps may ask, by name."""
    cache: str = ""
    """Folder for answers of models and the like, kept between runs; unset: DIR.cache."""
    drop_errors: bool = False
    """What a step or reader raises drops the sample, instead of stopping."""
    limits: LimitsConfig = LimitsConfig()
    """How much is held and done at once."""


def load_curation(path: Path | str, overrides: Sequence[str] = ()) -> Loaded[CurateRecipe]:
    """Read a recipe and apply ``a.b=value`` overrides.

    Raises:
        RecipeError: names every problem with its path, line and cure.
    """
    tree = read_yaml_file(path)
    values = tree.value if isinstance(tree.value, dict) else {}
    names: dict[str, list[str]] = {}
    for section, key in (("read", "reader"), ("steps", "step")):
        entries = values.get(section)
        entries = entries if isinstance(entries, list) else []
        found = []
        for number, entry in enumerate(entries):
            name = entry.get(key) if isinstance(entry, dict) else None
            line = tree.lines.get((section, number), 1)
            if not isinstance(name, str):
                raise RecipeError(f"{path}:{line}: {section}.{number}: write it as a section with {key}: NAME")
            _check(key, name, f"{path}:{line}: {section}.{number}")
            found.append(name)
        for override in overrides:
            dotted, _, text = override.partition("=")
            if dotted.startswith(f"{section}.") and dotted.endswith(f".{key}"):
                name = str(read_yaml(text, f"--set {dotted}").value)
                _check(key, name, f"--set {dotted}")
                found.append(name)
        names[section] = found
    model = _model(tuple(names["read"]), tuple(names["steps"]))
    return load_model(model, path, overrides)


def _check(key: Any, name: str, where: str) -> None:
    try:
        choice(key, [name])
    except UsageError as error:
        raise RecipeError(f"{where}: {error}") from None


@lru_cache(maxsize=1)
def _model(readers: tuple[str, ...], steps: tuple[str, ...]) -> type[CurateRecipe]:
    """The recipe's model where these readers and steps are named."""
    fields = CurateRecipe.model_fields
    tuples: Any = tuple
    read: Any = (tuples[choice("reader", readers), ...], fields["read"])
    chain: Any = (tuples[choice("step", steps), ...], fields["steps"])
    return create_model("CurateRecipe", __base__=CurateRecipe, __doc__=CurateRecipe.__doc__, read=read, steps=chain)
