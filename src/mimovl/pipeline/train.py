"""``mimovl train``: a recipe's data and training stages, without reinforcement learning, evaluation and report.

    mimovl train RECIPE --out DIR                                     one GPU; recipe.workers processes on the CPU
    torchrun --nproc-per-node 8 -m mimovl train RECIPE --out DIR      one process a GPU, on as many machines as you like

A stage starts from the folder of the one before, which each process reads its own part of; the folders are those of
``mimovl run``, which goes on with reinforcement learning where this ends.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from mimovl.errors import MimovlError
from mimovl.model import VisionLanguageModel, build_model, load_checkpoint, read_config, save_checkpoint
from mimovl.model.hf_checkpoint import read_side_files
from mimovl.pipeline.inputs import training_samples
from mimovl.pipeline.run import Runner, begin, work
from mimovl.recipe import Recipe, recipe_hash
from mimovl.team import Team, run_team
from mimovl.train import StageConfig, train_stage
from mimovl.train.blocks import arrange_blocks
from mimovl.train.checkpoint import is_finished
from mimovl.train.checkpoint_distributed import KEPT, DistributedCheckpoints
from mimovl.train.distributed import Layout, StopRequest, agree, by_torchrun, joined, own_device
from mimovl.train.fsdp import ShardedSpread, needs_sharding
from mimovl.train.spread import Spread, TeamSpread

__all__ = ["train"]

PARTED = ("Connection closed by peer", "Connection reset by peer", "NCCL")
"""What torch says when another process of the team has gone."""


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
    if not by_torchrun() and not torch.cuda.is_available():
        recipe, folder = begin(recipe_path, out, overrides)
        if recipe.workers > 1:
            return run_team(recipe.workers, _train, (recipe, folder))
    with joined() as team:
        try:
            recipe, folder = _begin_together(team, recipe_path, out, overrides)
            return _train(team, recipe, folder)
        except RuntimeError as error:
            if team.size > 1 and any(words in str(error) for words in PARTED):
                raise MimovlError("another process of this run stopped; its message is above") from error
            raise


def _begin_together(
    team: Team, recipe_path: Path | str, out: Path | str, overrides: Sequence[str]
) -> tuple[Recipe, Path]:
    """The leader keeps the recipe with the run; all must have been given the same."""
    problem, begun = "", None
    if team.leads:
        try:
            begun = begin(recipe_path, out, overrides)
        except MimovlError as error:
            problem = str(error)
            if team.size == 1:
                raise
    if problem := team.broadcast(problem):
        raise MimovlError(problem)
    begun = begun or begin(recipe_path, out, overrides)
    agree(team, "the recipe", f"{begun[0].name} {recipe_hash(begun[0])[:16]}")
    return begun


def _train(team: Team, recipe: Recipe, folder: Path) -> Path:
    return work(team, recipe, folder, Stages)


class Stages(Runner):
    """The training stages of a run; every process of the team goes through all of them."""

    def run(self) -> None:
        """Do every stage that is not done."""
        recipe, team = self.recipe, self.team
        for stage in recipe.stages:
            parallel = recipe.parallel_of(stage)
            Layout.of(parallel, stage, team.size, even=needs_sharding(parallel))
        self._data()
        self._check_mixtures()
        before = self._first_folder(self._start())
        with StopRequest() as stop:
            for stage in recipe.stages:
                step = self._next(stage.name)
                title, finished = f"stage {self.number} {stage.name}", team.broadcast(is_finished(step.folder))
                with self._timed(step.folder.name, title, finished=finished) as progress:
                    if not finished:
                        spread = self._spread(stage, before, stop)
                        train_stage(
                            self._empty(before) if isinstance(spread, ShardedSpread) else load_checkpoint(before),
                            self._processor(before),
                            training_samples(recipe.data, self._training_data(), stage),
                            stage,
                            step.folder,
                            seed=recipe.seed,
                            progress=progress,
                            spread=spread,
                            tracking=self.tracking,
                        )
                before = step.checkpoint
        if recipe.rl:
            self._say(f"{recipe.rl.name} is left to: mimovl run")

    def _spread(self, stage: StageConfig, weights: Path, stop: StopRequest) -> Spread:
        """How the recipe wants the stage to be spread over the processes there are."""
        parallel, device = self.recipe.parallel_of(stage), own_device()
        checkpoints = DistributedCheckpoints(self.team, keep=stage.keep or KEPT)
        if needs_sharding(parallel):
            return ShardedSpread(
                self.team,
                parallel,
                stage,
                device=device,
                weights=weights,
                checkpoints=checkpoints,
                seed=self.recipe.seed,
                stop_asked=lambda: stop.asked,
                tell=self._say,
            )
        arrange = partial(arrange_blocks, parallel=parallel, device=device, tell=self._say)
        return TeamSpread(self.team, checkpoints, stop_asked=lambda: stop.asked, device=device, arrange=arrange)

    def _first_folder(self, start: Path | None) -> Path:
        """The folder the first stage starts from; one of the run's own where a new projector is drawn."""
        first = self.folder / "start" / "model"
        if start is not None and not self.recipe.fresh_projector:
            return start
        if self.team.leads and not (first / "config.json").is_file():
            model, processor, _ = self._load(start)
            save_checkpoint(model, first, side_files=processor.files())
        self.team.wait()
        return first

    def _empty(self, folder: Path) -> VisionLanguageModel:
        """A model of the folder's shape that takes no memory yet."""
        model = build_model(read_config(folder), device="meta")
        model.side_files = read_side_files(folder)
        return model

    def _say(self, text: str) -> None:
        """A line for people, from the leader."""
        if self.display:
            self.display.line(text)
        elif self.team.leads:
            print(text, file=sys.stderr)
