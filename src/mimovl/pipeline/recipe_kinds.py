"""Recipes of every kind: of a run, a reward model, a curation, a collection of preferences.

Each kind has sections that no other has, so that a file tells which one it is, and ``mimovl recipe explain`` reads all.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mimovl.pipeline.collect_config import CollectRecipe
from mimovl.pipeline.curate_config import load_curation
from mimovl.pipeline.reward_config import RewardRecipe
from mimovl.recipe import load_recipe
from mimovl.recipe_load import Loaded, load_model
from mimovl.recipe_yaml import read_yaml_file

__all__ = ["load_any_recipe"]


def load_any_recipe(path: Path | str, overrides: Sequence[str] = ()) -> Loaded[Any]:
    """Read a recipe of the kind its sections show; one of a run where none of them does.

    Args:
        path: the YAML file.
        overrides: ``a.b=value`` over the file.

    Raises:
        RecipeError: names every problem with its path, line and cure.
    """
    values = read_yaml_file(path).value
    sections = values if isinstance(values, dict) else {}
    if "read" in sections:
        return load_curation(path, overrides)
    if "pairs" in sections:
        return load_model(RewardRecipe, path, overrides)
    if "generators" in sections or "ranker" in sections:
        return load_model(CollectRecipe, path, overrides)
    return load_recipe(path, overrides)
