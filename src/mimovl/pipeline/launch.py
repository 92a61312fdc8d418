"""How a recipe's work begins in the processes it has: a team on the CPU, or those that torchrun started on GPUs.

mimovl run|train|rl RECIPE --out DIR                              one GPU; recipe.workers processes on the CPU
torchrun --nproc-per-node 8 -m mimovl run|train|rl RECIPE …       one process a GPU, on as many machines as you like
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch

from mimovl.errors import MimovlError
from mimovl.pipeline.begin import begin
from mimovl.recipe import Recipe, recipe_hash
from mimovl.team import Team, lost_peer, run_team
from mimovl.train.distributed import agree, by_torchrun, joined

__all__ = ["launch"]


def launch(
    work: Callable[[Team, Recipe, Path], Path],
    recipe_path: Path | str,
    out: Path | str,
    overrides: Sequence[str] = (),
    *,
    check: Callable[[Recipe], None] | None = None,
) -> Path:
    """Do work on a recipe in every process there is.

    Args:
        work: importable by name; what it returns here is returned.
        recipe_path: the YAML file.
        out: folder of the run.
        overrides: ``a.b=value`` over the file.
        check: refuses a recipe before anything is started.

    Raises:
        RecipeError: the recipe cannot be read, does not fit the number of processes, or ``out`` holds another run.
        UsageError: another process works in ``out``.
        MimovlError: whatever stops the work, or another process of the team has gone.
    """
    with ExitStack() as held:
        if not by_torchrun() and not torch.cuda.is_available():
            recipe, folder = begin(recipe_path, out, overrides, check, held)
            if recipe.workers > 1:
                return run_team(recipe.workers, work, (recipe, folder))
        with joined() as team:
            try:
                recipe, folder = _begin_together(team, recipe_path, out, overrides, check, held)
                return work(team, recipe, folder)
            except RuntimeError as error:
                if team.size > 1 and lost_peer(error):
                    raise MimovlError("another process of this run stopped; its message is above") from error
                raise


def _begin_together(
    team: Team,
    recipe_path: Path | str,
    out: Path | str,
    overrides: Sequence[str],
    check: Callable[[Recipe], None] | None,
    held: ExitStack,
) -> tuple[Recipe, Path]:
    """The leader keeps the recipe with the run, whose folder it holds; all must have been given the same."""
    problem, begun = "", None
    if team.leads:
        try:
            begun = begin(recipe_path, out, overrides, check, held)
        except MimovlError as error:
            problem = str(error)
            if team.size == 1:
                raise
    if problem := team.broadcast(problem):
        raise MimovlError(problem)
    begun = begun or begin(recipe_path, out, overrides, check)
    agree(team, "the recipe", f"{begun[0].name} {recipe_hash(begun[0])[:16]}")
    return begun
