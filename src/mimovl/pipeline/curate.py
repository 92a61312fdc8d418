"""``mimovl curate``: a recipe's readers, steps and models, handed to the runner with what a person sees meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mimovl.curate.pipeline.plan import Limits
from mimovl.curate.pipeline.pool import Pool
from mimovl.curate.pipeline.registry import real
from mimovl.curate.pipeline.run import Outcome, curate
from mimovl.pipeline.curate_config import load_curation
from mimovl.pipeline.curate_tools import make_tools
from mimovl.pipeline.progress import Display
from mimovl.recipe import recipe_hash

__all__ = ["run_curation"]


def run_curation(
    recipe_path: Path | str, out: Path | str, overrides: Sequence[str] = (), *, allow_network: bool = False
) -> Outcome:
    """Curate as a recipe says, or what is left of it.

    Args:
        recipe_path: a YAML file, see ``CurateRecipe``.
        out: the dataset's folder.
        overrides: ``a.b=value`` over the file.
        allow_network: whether readers may fetch media from URLs.

    Raises:
        RecipeError: the recipe cannot be read as written.
        UsageError, DataError, MimovlError: as ``curate``.
    """
    recipe = load_curation(recipe_path, overrides).recipe
    out = Path(out)
    cache = Path(recipe.cache) if recipe.cache else out.with_name(f"{out.name}.cache")
    limits = Limits(**dict(recipe.limits))
    models = {name: source.model_dump(mode="json") for name, source in recipe.models.items()}
    pool: Pool | None = None
    if recipe.ray is not None:
        from mimovl.curate.pipeline.ray_pool import RayWorkers

        pool = RayWorkers(recipe.ray.address, recipe.ray.workers, limits.attempts)
    display = Display()
    try:
        with display.show(), display.step(recipe.name) as progress:
            return curate(
                [real(entry, "reader") for entry in recipe.read],
                [real(entry, "step") for entry in recipe.steps],
                out,
                tools=partial(make_tools, cache.absolute(), recipe.seed, models),
                workers=recipe.workers,
                pool=pool,
                limits=limits,
                drop_errors=recipe.drop_errors,
                allow_network=allow_network,
                recipe_hash=recipe_hash(recipe.model_copy(update={"workers": 1, "ray": None, "cache": ""})),
                progress=progress.update,
            )
    finally:
        if pool is not None:
            pool.close()
