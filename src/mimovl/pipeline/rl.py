"""``mimovl rl``: a recipe's reinforcement learning alone, from its finished stages or from any checkpoint.

    mimovl rl RECIPE --out DIR                                              after mimovl train RECIPE --out DIR
    mimovl rl RECIPE --out DIR --start CHECKPOINT                           from a checkpoint of any origin
    mimovl rl RECIPE --out DIR --ray auto --engines 8 --reward-workers 16   spread over a Ray cluster

The folders are those of ``mimovl run``, which goes on with evaluation and report where this ends.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from mimovl.errors import UsageError
from mimovl.pipeline.begin import begin
from mimovl.pipeline.launch import launch
from mimovl.pipeline.progress import StepProgress
from mimovl.pipeline.run import Runner, Step, work
from mimovl.recipe import Recipe
from mimovl.rl import RLConfig
from mimovl.rl.cluster import Places, check_places, joined_cluster, train_on_ray
from mimovl.team import ALONE, Team
from mimovl.train.checkpoint import is_finished
from mimovl.train.distributed import StopRequest

__all__ = ["Places", "reinforce"]


def reinforce(
    recipe_path: Path | str,
    out: Path | str,
    overrides: Sequence[str] = (),
    *,
    start: Path | str | None = None,
    cluster: str | None = None,
    places: Places | None = None,
) -> Path:
    """Do a recipe's reinforcement learning, or what is left of it.

    Args:
        recipe_path: the YAML file.
        out: folder of the run.
        overrides: ``a.b=value`` over the file.
        start: begin from this checkpoint; the recipe kept with the run then has no stages.
        cluster: address of a Ray cluster that does it: ``auto`` for the one this machine is in, ``local`` for one of
            this machine alone.
        places: what the cluster gives to it.

    Returns:
        The report.

    Raises:
        RecipeError: the recipe cannot be read, or ``out`` holds a run of another one.
        UsageError: it has no section ``rl``, a stage before it is not finished, or there is no such cluster or it
            cannot do what the recipe says.
        CheckpointError: the checkpoint it starts from cannot be used.
        MissingExtraError: a cluster is asked for, and the ``ray`` extra is not installed.
    """
    if start is not None:
        overrides = [
            *overrides,
            "base=null",
            "stages=[]",
            "evaluate.after=[]",
            "evaluate.questions={}",
            f"start={json.dumps(str(start), ensure_ascii=False)}",  # read as YAML
        ]
    places = places or Places()
    check = partial(_can_reinforce, recipe_path, places if cluster else None)
    if cluster is None:
        return launch(_reinforce, recipe_path, out, overrides, check=check)
    with ExitStack() as held:
        recipe, folder = begin(recipe_path, out, overrides, check, held)
        held.enter_context(joined_cluster(cluster, places))
        return work(ALONE, recipe, folder, partial(OnRay, places=places))


def _can_reinforce(path: Path | str, places: Places | None, recipe: Recipe) -> None:
    if recipe.rl is None:
        raise UsageError(f"{path} has no section rl; nothing to do")
    if places:
        check_places(recipe.rl, places)


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
        self._reinforce(recipe.rl, self._next(recipe.rl.name), before or self._first_folder(self._start()))


class OnRay(Reinforcement):
    """The same, placed over a cluster."""

    def __init__(self, *arguments: object, places: Places) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.places = places

    def _train_policy(
        self, config: RLConfig, step: Step, before: Path, progress: StepProgress | None, stop: StopRequest
    ) -> None:
        options: dict[str, Any] = dict(seed=self.recipe.seed, progress=progress, processor=self._processor(before))
        options |= dict(tracking=self.tracking, heldout=self._watched(), stop_asked=lambda: stop.asked)
        train_on_ray(before, self._prompts(), config, step.folder, self.places, **options)
