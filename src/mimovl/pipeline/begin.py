"""A recipe read, checked, and kept with its run, before anything is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from mimovl.errors import RecipeError
from mimovl.model.hf_checkpoint import read_config
from mimovl.pipeline.assets import embedded_base
from mimovl.pipeline.same_recipe import same_recipe
from mimovl.pipeline.sources import check_sources
from mimovl.recipe import Recipe, dump_recipe, load_recipe
from mimovl.train import check_trackers

__all__ = ["begin"]


def begin(
    recipe_path: Path | str,
    out: Path | str,
    overrides: Sequence[str] = (),
    check: Callable[[Recipe], None] | None = None,
) -> tuple[Recipe, Path]:
    """Read and check a recipe and keep it with the run.

    Args:
        recipe_path: the YAML file.
        out: folder of the run.
        overrides: ``a.b=value`` over the file.
        check: refuses a recipe for reasons of its own.

    Returns:
        The recipe and the run's folder.

    Raises:
        RecipeError: the recipe cannot be read, or ``out`` holds a run of another one.
        CheckpointError: the checkpoint it starts from cannot be used.
        MissingExtraError: it asks for a tracker that is not installed.
        UsageError: it starts from the embedded base, and this installation has none.
    """
    loaded = load_recipe(recipe_path, overrides)
    recipe, folder = loaded.recipe, Path(out)
    _check_start(recipe)
    if check:
        check(recipe)
    folder.mkdir(parents=True, exist_ok=True)
    same_recipe(folder, dump_recipe(loaded))
    return recipe, folder


def _check_start(recipe: Recipe) -> None:
    """Refuse what would stop the run when its data is made or its stages are trained."""
    check_trackers(recipe.tracking)
    if not recipe.stages and not recipe.rl:
        return
    check_sources(recipe.data.sources or {})
    if not recipe.base:
        read_config(embedded_base().folder if recipe.start == "embedded" else recipe.start)
    data = recipe.data
    if missing := next((folder for folder in data.prompt_folders or () if not Path(folder).is_dir()), None):
        raise RecipeError(f"data.prompt_folders: {missing}: no such dataset; give the folder of one, made by mimovl")
    if recipe.rl and not (data.prompt_folders or data.imported or any(data.prompts.values())):
        raise RecipeError(
            f"{recipe.rl.name} has no prompts; give data.prompts items of sources with the tasks it names, or "
            "data.prompt_folders datasets that have them"
        )
