"""``mimovl rl``: a recipe's reinforcement learning alone, from its finished stages or from any checkpoint.

    mimovl rl RECIPE --out DIR                                              after mimovl train RECIPE --out DIR
    mimovl rl RECIPE --out DIR --start CHECKPOINT                           from a checkpoint of any origin

The folders are those of ``mimovl run``, which goes on with evaluation and report where this ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mimovl.errors import UsageError
from mimovl.model import load_checkpoint
from mimovl.pipeline.assets import embedded_base
from mimovl.pipeline.run import Runner, begin, work
from mimovl.recipe import Recipe
from mimovl.team import Team, run_team
from mimovl.train.checkpoint import is_finished

__all__ = ["reinforce"]


def reinforce(
    recipe_path: Path | str, out: Path | str, overrides: Sequence[str] = (), *, start: Path | str | None = None
) -> Path:
    """Do a recipe's reinforcement learning, or what is left of it.

    Args:
        recipe_path: the YAML file.
        out: folder of the run.
        overrides: ``a.b=value`` over the file.
        start: begin from this checkpoint; the recipe kept with the run then has no stages.

    Returns:
        The report.

    Raises:
        RecipeError: the recipe cannot be read, or ``out`` holds a run of another one.
        UsageError: it has no section ``rl``, or a stage before it is not finished.
        CheckpointError: the checkpoint it starts from cannot be used.
    """
    if start is not None:
        overrides = [*overrides, "stages=[]", "evaluate.after=[]", "evaluate.questions={}", f"start={start}"]
    recipe, folder = begin(recipe_path, out, overrides)
    if recipe.rl is None:
        raise UsageError(f"{recipe_path} has no section rl; nothing to do")
    return run_team(recipe.workers, _reinforce, (recipe, folder))


def _reinforce(team: Team, recipe: Recipe, folder: Path) -> Path:
    return work(team, recipe, folder, Reinforcement)


class Reinforcement(Runner):
    """The reinforcement learning of a run; its stages must have been done."""

    def run(self) -> None:
        """Do it, unless it is done."""
        recipe = self.recipe
        assert recipe.rl
        before = None
        for stage in recipe.stages:
            step = self._next(stage.name)
            if not self.team.broadcast(is_finished(step.folder)):
                raise UsageError(
                    f"{step.folder} is not finished: mimovl train does the stages; --start CHECKPOINT begins elsewhere"
                )
            before = step.checkpoint
        self._data()
        self._check_mixtures()
        before = before or self._start() or embedded_base().folder
        step = self._next(recipe.rl.name)
        self._reinforce(recipe.rl, step, load_checkpoint(before), self._processor(before))
