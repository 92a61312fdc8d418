"""``mimovl run``: a recipe from data to report, each step in a folder of its own, finished steps skipped.

    data → base (if the recipe makes its own) → stages → MORL, an evaluation after each, and the report after all

Killed at any moment the same command goes on: a finished step is known by its ``done.json`` (datasets by their
manifest), an unfinished one by its resume point, an evaluation by the answers it has.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from mimovl import __version__
from mimovl.data import Processor, SampleFolders
from mimovl.errors import Stopped
from mimovl.evaluate import MedianBaseline, evaluate
from mimovl.model import VisionLanguageModel, build_model, load_checkpoint, save_checkpoint
from mimovl.model.hf_checkpoint import read_config, read_side_files
from mimovl.pipeline.assets import embedded_base
from mimovl.pipeline.base import build_base
from mimovl.pipeline.data import asked_in_training, build_datasets, is_built
from mimovl.pipeline.evaluate import evaluate_step, is_evaluated, load_to_answer
from mimovl.pipeline.inputs import Prompts, check_mixture, training_samples
from mimovl.pipeline.launch import launch
from mimovl.pipeline.progress import Display, StepProgress
from mimovl.pipeline.run_log import RunLog, quiet, timed_step
from mimovl.recipe import Recipe, recipe_hash
from mimovl.report import write_report
from mimovl.rl import RLConfig, train_policy
from mimovl.rl.placement import parameter_dtype
from mimovl.store import Dataset
from mimovl.team import Team
from mimovl.train import StageConfig, Tracking, peak_memory_mb, train_stage
from mimovl.train.blocks import arrange_blocks
from mimovl.train.checkpoint import drop_points, is_finished
from mimovl.train.checkpoint_distributed import KEPT, DistributedCheckpoints
from mimovl.train.distributed import Layout, StopRequest, own_device
from mimovl.train.fsdp import ShardedSpread, needs_sharding
from mimovl.train.spread import Spread, TeamSpread
from mimovl.types import Sample

__all__ = ["Runner", "Step", "run", "work"]


@dataclass(frozen=True)
class Step:
    """A step that ends in a checkpoint."""

    name: str
    folder: Path

    @property
    def checkpoint(self) -> Path:
        """Its folder."""
        return self.folder / "model"


def run(recipe_path: Path | str, out: Path | str, overrides: Sequence[str] = ()) -> Path:
    """Run a recipe, or what is left of it.

    Args:
        recipe_path: the YAML file.
        out: folder of the run.
        overrides: ``a.b=value`` over the file.

    Returns:
        The report.

    Raises:
        RecipeError: the recipe cannot be read, does not fit the number of processes, or ``out`` holds another run.
        CheckpointError: the checkpoint it starts from cannot be used.
        MissingExtraError: it asks for a tracker that is not installed.
        UsageError: it starts from the embedded base, and this installation has none.
        Stopped: somebody asked for the end (SIGTERM); what is trained is saved.
    """
    return launch(_run, recipe_path, out, overrides)


def _run(team: Team, recipe: Recipe, folder: Path) -> Path:
    return work(team, recipe, folder, Runner)


def work(team: Team, recipe: Recipe, folder: Path, kind: Callable[..., Runner]) -> Path:
    """A run as one process of its team sees it; ``kind`` says which of its steps are done."""
    display = Display() if team.leads else None
    log = RunLog(folder, recipe) if team.leads else None
    runner = kind(recipe, folder, display, log, team)
    if display is None or log is None:
        runner.run()
        team.gather(peak_memory_mb())
        return folder
    with display.show():
        display.line(f"{recipe.name}: {folder}  ({team.size} processes, torch {torch.__version__})")
        runner.run()
        log.finish(sum(team.gather(peak_memory_mb())))
        report = write_report(folder)
    display.line(f"report: {report}")
    return report


class Runner:
    """The steps of one run in order; every process of the team goes through all of them."""

    def __init__(self, recipe: Recipe, folder: Path, display: Display | None, log: RunLog | None, team: Team) -> None:
        self.recipe = recipe
        self.folder = folder
        self.display = display
        self.log = log
        self.team = team
        self.number = 0
        values, tracking = recipe.model_dump(mode="json", exclude_none=True), recipe.tracking
        self.tracking = Tracking(tracking, folder, recipe.name, values) if tracking else None

    def run(self) -> None:
        """Do every step that is not done."""
        recipe = self.recipe
        before = self._prepare()
        if before is None:
            return
        if self.log:
            parts = build_model(read_config(before), device="meta").num_parameters()
            self.log.update(model={"parameters": sum(parts.values()), **parts})
        if recipe.evaluate.median and self.team.leads:
            self._evaluate_median()
        if recipe.evaluate.start:
            self._evaluate("0-start", "start", before)
        before = self._stages(before, evaluated=True)
        if recipe.rl:
            step = self._next(recipe.rl.name)
            self._reinforce(recipe.rl, step, before)
            self._evaluate(step.folder.name, step.name, step.checkpoint, recipe.rl.temperature)

    def _prepare(self) -> Path | None:
        """Data and base, and the folder the first step starts from; None where there is none."""
        recipe = self.recipe
        for stage in recipe.stages:
            parallel = recipe.parallel_of(stage)
            Layout.of(parallel, stage, self.team.size, even=needs_sharding(parallel))
        self._data()
        self._check_mixtures()
        start = self._start()
        return self._first_folder(start) if recipe.stages or recipe.rl else None

    def _stages(self, before: Path, *, evaluated: bool) -> Path:
        """Train every stage that is not done, from the folder of the one before; the last one's folder."""
        recipe, team = self.recipe, self.team
        for number, stage in enumerate(recipe.stages, 1):
            step = self._next(stage.name)
            title, finished = f"stage {self.number} {stage.name}", team.broadcast(is_finished(step.folder))
            with self._timed(step.folder.name, title, finished=finished) as progress, StopRequest() as stop:
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
                elif team.leads:
                    drop_points(step.folder)  # a kill may have left some behind
            self._heed(stop, title)
            before = step.checkpoint
            if evaluated:
                temperature = recipe.rl.temperature if recipe.rl and number == len(recipe.stages) else 0.0
                self._evaluate(step.folder.name, step.name, before, temperature)
        return before

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

    def _reinforce(self, config: RLConfig, step: Step, before: Path) -> None:
        """Reinforcement learning, if it is not done."""
        title, finished = f"stage {self.number} {config.name}", self.team.broadcast(is_finished(step.folder))
        with self._timed(step.folder.name, title, finished=finished) as progress, StopRequest() as stop:
            if not finished:
                self._train_policy(config, step, before, progress, stop)
            elif self.team.leads:
                drop_points(step.folder)
        self._heed(stop, title)

    def _heed(self, stop: StopRequest, title: str) -> None:
        """Leave if anybody was asked to while a step was finished and written."""
        if any(self.team.gather(stop.asked)):
            raise Stopped(
                f"stopped as asked (SIGTERM) after {title}, which is finished; the same command goes on behind"
            )

    def _train_policy(
        self, config: RLConfig, step: Step, before: Path, progress: StepProgress | None, stop: StopRequest
    ) -> None:
        model = load_checkpoint(before, dtype=parameter_dtype(config.parallel), device=own_device())
        options: dict[str, Any] = dict(seed=self.recipe.seed, progress=progress, team=self.team)
        options |= dict(tracking=self.tracking, heldout=self._watched(), stop_asked=lambda: stop.asked)
        train_policy(model, self._processor(before), self._prompts(), config, step.folder, **options)

    def _prompts(self) -> Prompts:
        """What reinforcement learning asks."""
        data = self.recipe.data
        own = self._training_data() if data.imported else self.folder / "data" / "prompts"
        return Prompts(data.prompt_folders or [own])

    def _next(self, name: str) -> Step:
        self.number += 1
        return Step(name, self.folder / f"{self.number}-{name}")

    def _timed(self, key: str, title: str, *, finished: bool = False) -> AbstractContextManager[StepProgress | None]:
        """A step on the display and in the log; one that was finished before keeps its old time."""
        if self.display is None or self.log is None:
            return nullcontext()
        if finished:
            self.display.line(f"{title:<22} done before")
            return nullcontext()
        return timed_step(self.display, self.log, key, title)

    def _training_data(self) -> Path:
        imported = self.recipe.data.imported
        return Path(imported) / "train" if imported else self.folder / "data" / "train"

    def _heldout_data(self) -> Path:
        imported = self.recipe.data.imported
        return Path(imported) / "heldout" if imported else self.folder / "data" / "heldout"

    def _watched(self) -> Sequence[Sample]:
        """The held-out questions, where a monitor of the reinforcement learning wants some."""
        monitors, heldout = self.recipe.rl and self.recipe.rl.monitors, self._heldout_data()
        return Dataset.open(heldout) if monitors and monitors.heldout and heldout.is_dir() else ()

    def _data(self) -> None:
        if self.recipe.data.imported:
            Dataset.open(self._training_data())
            Dataset.open(self._heldout_data())
            return
        if not self.recipe.data.train and not self.recipe.data.heldout:
            return
        finished = self.team.broadcast(is_built(self.folder / "data"))
        with self._timed("data", "data", finished=finished) as progress:
            summary = build_datasets(
                self.recipe.data,
                self.folder / "data",
                seed=self.recipe.seed,
                recipe_hash=recipe_hash(self.recipe),
                advance=progress.update if progress else quiet,
                team=self.team,
            )
        if self.log:
            self.log.update(data=summary)

    def _check_mixtures(self) -> None:
        """Refuse now, not when its stage begins, a mixture of sources or tasks that the data does not have."""
        recipe, seed = self.recipe, self.recipe.seed
        if recipe.data.sources:
            for stage in recipe.stages:
                folders = training_samples(recipe.data, self._training_data(), stage)
                assert isinstance(folders, SampleFolders)
                check_mixture(f"stage {stage.name}", stage.mixture, folders, seed=seed)
        elif recipe.stages:
            sources = [record.source for record in Dataset.open(self._training_data()).records]
            for stage in recipe.stages:
                check_mixture(f"stage {stage.name}", stage.mixture, sources, seed=seed)
        if recipe.rl:
            check_mixture(recipe.rl.name, recipe.rl.tasks, self._prompts().tasks, seed=seed)

    def _start(self) -> Path | None:
        """The checkpoint the stages start from; None for the embedded base."""
        recipe = self.recipe
        if recipe.base:
            folder = self.folder / "base"
            finished = self.team.broadcast((folder / "model" / "base.json").is_file())
            with self._timed("base", "base parts", finished=finished) as progress:
                if not finished:
                    world, seed, team = recipe.data.world, recipe.seed, self.team
                    options: dict[str, Any] = dict(seed=seed, progress=progress, team=team, parallel=recipe.parallel)
                    build_base(recipe.base, world, recipe.model, folder, **options)
                if not finished and team.leads:
                    about = {"recipe_hash": recipe_hash(recipe), "mimovl": __version__}
                    (folder / "model" / "base.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
            self.team.wait()
            return folder / "model"
        return Path(recipe.start) if recipe.start != "embedded" else None

    def _first_folder(self, start: Path | None) -> Path:
        """The folder the first step starts from; one of the run's own where a new projector is drawn for the stages."""
        if start is None:
            base = embedded_base()
            if self.log:
                self.log.update(base={"recipe_hash": base.recipe_hash})
            start = base.folder
        if not self.recipe.fresh_projector or not self.recipe.stages:
            return start
        first = self.folder / "start" / "model"
        if self.team.leads and not (first / "config.json").is_file():
            model = load_checkpoint(start)
            fresh = build_model(model.config, seed=self.recipe.seed)
            model.projector.load_state_dict(fresh.projector.state_dict())
            save_checkpoint(model, first, side_files=self._processor(start).files())
        self.team.wait()
        return first

    def _processor(self, folder: Path) -> Processor:
        processor = Processor.from_files(read_side_files(folder), read_config(folder), where=str(folder))
        if limit := self.recipe.data.max_pixels:
            processor = replace(processor, image=replace(processor.image, max_pixels=limit))
        return processor

    def _evaluate(self, folder: str, step: str, checkpoint: Path, temperature: float = 0.0) -> None:
        settings = self.recipe.evaluate
        heldout = self._heldout_data()
        if (settings.after and step not in (*settings.after, "start")) or settings.questions.get(step) == 0:
            return
        if not heldout.is_dir() or not len(Dataset.open(heldout)):
            return
        out = self.folder / "evaluate" / folder
        sampled = temperature > 0 and settings.sampled is not None
        finished = self.team.broadcast(self.team.leads and is_evaluated(out, checkpoint, sampled=sampled))
        with self._timed(f"evaluate {folder}", f"evaluate {step}", finished=finished) as progress:
            if finished:
                return
            model, processor = load_to_answer(checkpoint), self._processor(checkpoint)
            options: dict[str, Any] = dict(step=step, progress=progress, team=self.team, temperature=temperature)
            evaluate_step(model, processor, checkpoint, heldout, out, settings, **options)
        if self.team.leads:
            write_report(self.folder)

    def _evaluate_median(self) -> None:
        """Answers that need no picture, for comparison."""
        out = self.folder / "evaluate" / "0-median"
        if (out / "summary.json").is_file():
            return
        with self._timed("evaluate 0-median", "evaluate median"):
            baseline = MedianBaseline(asked_in_training(Dataset.open(self._training_data())))
            evaluate(baseline, list(Dataset.open(self._heldout_data())), None, out, modes=self.recipe.evaluate.modes)
