"""``mimovl train``: a recipe's data and training stages, without reinforcement learning, evaluation and report.

The folders are those of ``mimovl run``, which goes on where this ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mimovl.pipeline.launch import launch
from mimovl.pipeline.run import Runner, work
from mimovl.recipe import Recipe
from mimovl.team import Team

__all__ = ["train"]


def train(recipe_path: Path | str, out: Path | str, overrides: Sequence[str] = ()) -> Path:
    """Train a recipe's stages, or what is left of them.

    Args:
        recipe_path: the YAML file.
        out: folder of the run.
        overrides: ``a.b=value`` over the file.

    Returns:
        The report.

    Raises:
        RecipeError: the recipe cannot be read, does not fit the number of processes, or ``out`` holds another run.
        Stopped: somebody asked for the end (SIGTERM); everything is saved.
        MimovlError: whatever stops a stage, or another process of the team has gone.
    """
    return launch(_train, recipe_path, out, overrides)


def _train(team: Team, recipe: Recipe, folder: Path) -> Path:
    return work(team, recipe, folder, Stages)


class Stages(Runner):
    """The training stages of a run; every process of the team goes through all of them."""

    def run(self) -> None:
        """Do every stage that is not done."""
        if before := self._prepare():
            self._stages(before, evaluated=False)
        if self.recipe.rl:
            self._say(f"{self.recipe.rl.name} is left to: mimovl rl, or mimovl run")
