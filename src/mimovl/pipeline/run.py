"""``mimovl run``: a recipe from data to report, each step in a folder of its own, finished steps skipped.

    data → base (if the recipe makes its own) → stages → MORL, an evaluation after each, and the report after all

Killed at any moment the same command goes on: a finished step is known by its ``done.json`` (datasets by their
manifest), an unfinished one by its resume point, an evaluation by the answers it has.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from mimovl import __version__
from mimovl.data import Processor, SampleFolders
from mimovl.errors import RecipeError
from mimovl.evaluate import MedianBaseline, evaluate
from mimovl.model import VisionLanguageModel, build_model, load_checkpoint
from mimovl.model.hf_checkpoint import read_config, read_side_files
from mimovl.pipeline.assets import embedded_base
from mimovl.pipeline.base import build_base
from mimovl.pipeline.data import asked_in_training, build_datasets, is_built
from mimovl.pipeline.evaluate import evaluate_step, is_evaluated
from mimovl.pipeline.inputs import check_mixture, training_samples
from mimovl.pipeline.progress import Display, StepProgress
from mimovl.pipeline.same_recipe import same_recipe
from mimovl.pipeline.sources import check_sources
from mimovl.recipe import Recipe, dump_recipe, load_recipe, recipe_hash
from mimovl.report import write_report
from mimovl.rl import RLConfig, train_policy
from mimovl.store import Dataset
from mimovl.team import Team, run_team
from mimovl.train import Tracking, check_trackers, peak_memory_mb, train_stage
from mimovl.train.checkpoint import is_finished
from mimovl.types import Sample

__all__ = ["Runner", "begin", "run", "work"]


@dataclass(frozen=True)
class _Step:
    """A step that ends in a checkpoint."""

    name: str
    folder: Path

    @property
    def checkpoint(self) -> Path:
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
        RecipeError: the recipe cannot be read, or ``out`` holds a run of another one.
        CheckpointError: the checkpoint it starts from cannot be used.
        MissingExtraError: it asks for a tracker that is not installed.
        UsageError: it starts from the embedded base, and this installation has none.
    """
    recipe, folder = begin(recipe_path, out, overrides)
    return run_team(recipe.workers, work, (recipe, folder))


def begin(recipe_path: Path | str, out: Path | str, overrides: Sequence[str] = ()) -> tuple[Recipe, Path]:
    """Read and check a recipe and keep it with the run; arguments and errors as of :func:`run`."""
    loaded = load_recipe(recipe_path, overrides)
    recipe, folder = loaded.recipe, Path(out)
    _check_start(recipe)
    folder.mkdir(parents=True, exist_ok=True)
    same_recipe(folder, dump_recipe(loaded))
    return recipe, folder


def work(team: Team, recipe: Recipe, folder: Path, kind: type[Runner] | None = None) -> Path:
    """A run as one process of its team sees it; ``kind`` says which of its steps are done."""
    display = Display() if team.leads else None
    log = _RunLog(folder, recipe) if team.leads else None
    runner = (kind or Runner)(recipe, folder, display, log, team)
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

    def __init__(self, recipe: Recipe, folder: Path, display: Display | None, log: _RunLog | None, team: Team) -> None:
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
        recipe, seed, team, tracking = self.recipe, self.recipe.seed, self.team, self.tracking
        if self.display and any(stage.parallel or recipe.parallel for stage in recipe.stages):
            self.display.line("parallel: mimovl train follows it; here stages are trained in float32, parameters whole")
        self._data()
        self._check_mixtures()
        start = self._start()
        if not recipe.stages and not recipe.rl:
            return
        model, processor, origin = self._load(start)
        if self.log:
            parts = model.num_parameters()
            self.log.update(model={"parameters": sum(parts.values()), **parts})
        if recipe.evaluate.median and team.leads:
            self._evaluate_median()
        if recipe.evaluate.start:
            self._evaluate("0-start", "start", origin, model, processor)
        for number, stage in enumerate(recipe.stages, 1):
            step = self._next(stage.name)
            title, finished = f"stage {self.number} {stage.name}", is_finished(step.folder)
            with self._timed(step.folder.name, title, finished=finished) as progress:
                samples = training_samples(recipe.data, self._training_data(), stage)
                options: dict[str, Any] = dict(seed=seed, progress=progress, team=team, tracking=tracking)
                model = train_stage(model, processor, samples, stage, step.folder, **options)
            temperature = recipe.rl.temperature if recipe.rl and number == len(recipe.stages) else 0.0
            self._evaluate(step.folder.name, step.name, step.checkpoint, model, processor, temperature)
        if recipe.rl:
            step = self._next(recipe.rl.name)
            model = self._reinforce(recipe.rl, step, model, processor)
            self._evaluate(step.folder.name, step.name, step.checkpoint, model, processor, recipe.rl.temperature)

    def _reinforce(
        self, config: RLConfig, step: _Step, model: VisionLanguageModel, processor: Processor
    ) -> VisionLanguageModel:
        title, finished = f"stage {self.number} {config.name}", is_finished(step.folder)
        with self._timed(step.folder.name, title, finished=finished) as progress:
            prompts = Dataset.open(self.folder / "data" / "prompts")
            options: dict[str, Any] = dict(seed=self.recipe.seed, progress=progress, team=self.team)
            options |= dict(tracking=self.tracking, heldout=self._watched())
            return train_policy(model, processor, prompts, config, step.folder, **options)

    def _next(self, name: str) -> _Step:
        self.number += 1
        return _Step(name, self.folder / f"{self.number}-{name}")

    def _timed(self, key: str, title: str, *, finished: bool = False) -> AbstractContextManager[StepProgress | None]:
        """A step on the display and in the log; one that was finished before keeps its old time."""
        if self.display is None or self.log is None:
            return nullcontext()
        if finished:
            self.display.line(f"{title:<22} done before")
            return nullcontext()
        return _timed_step(self.display, self.log, key, title)

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
                advance=progress.update if progress else _quiet,
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
            tasks = [record.task for record in Dataset.open(self.folder / "data" / "prompts").records]
            check_mixture(recipe.rl.name, recipe.rl.tasks, tasks, seed=seed)

    def _start(self) -> Path | None:
        """The checkpoint the stages start from; None for the embedded base."""
        recipe = self.recipe
        if recipe.base:
            folder = self.folder / "base"
            finished = self.team.broadcast((folder / "model" / "base.json").is_file())
            with self._timed("base", "base parts", finished=finished) as progress:
                if not finished:
                    world, seed, team = recipe.data.world, recipe.seed, self.team
                    build_base(recipe.base, world, recipe.model, folder, seed=seed, progress=progress, team=team)
                if not finished and team.leads:
                    about = {"recipe_hash": recipe_hash(recipe), "mimovl": __version__}
                    (folder / "model" / "base.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
            self.team.wait()
            return folder / "model"
        return Path(recipe.start) if recipe.start != "embedded" else None

    def _load(self, start: Path | None) -> tuple[VisionLanguageModel, Processor, Path]:
        """The model to train, its processor and folder: a checkpoint, or the base parts with a fresh projector."""
        if start is None:
            base = embedded_base()
            if self.log:
                self.log.update(base={"recipe_hash": base.recipe_hash})
            start = base.folder
        model = load_checkpoint(start)
        if self.recipe.fresh_projector:
            fresh = build_model(model.config, seed=self.recipe.seed)
            model.projector.load_state_dict(fresh.projector.state_dict())
        return model, self._processor(start), start

    def _processor(self, folder: Path) -> Processor:
        processor = Processor.from_files(read_side_files(folder), read_config(folder), where=str(folder))
        if limit := self.recipe.data.max_pixels:
            processor = replace(processor, image=replace(processor.image, max_pixels=limit))
        return processor

    def _evaluate(
        self,
        folder: str,
        step: str,
        checkpoint: Path,
        model: VisionLanguageModel,
        processor: Processor,
        temperature: float = 0.0,
    ) -> None:
        settings = self.recipe.evaluate
        heldout = self._heldout_data()
        if (settings.after and step not in (*settings.after, "start")) or settings.questions.get(step) == 0:
            return
        if not heldout.is_dir() or not len(Dataset.open(heldout)):
            return
        out = self.folder / "evaluate" / folder
        sampled = temperature > 0 and settings.sampled is not None
        finished = self.team.leads and is_evaluated(out, checkpoint, sampled=sampled)
        with self._timed(f"evaluate {folder}", f"evaluate {step}", finished=finished) as progress:
            options: dict[str, Any] = dict(step=step, progress=progress, team=self.team, temperature=temperature)
            evaluate_step(model, processor, checkpoint, heldout, out, settings, **options)
        if self.team.leads and not finished:
            write_report(self.folder)

    def _evaluate_median(self) -> None:
        """Answers that need no picture, for comparison."""
        out = self.folder / "evaluate" / "0-median"
        if (out / "summary.json").is_file():
            return
        with self._timed("evaluate 0-median", "evaluate median"):
            baseline = MedianBaseline(asked_in_training(Dataset.open(self._training_data())))
            evaluate(baseline, list(Dataset.open(self._heldout_data())), None, out, modes=self.recipe.evaluate.modes)


def _quiet(done: float, total: float, text: str) -> None:
    """Show nothing."""


@contextmanager
def _timed_step(display: Display, log: _RunLog, key: str, title: str) -> Iterator[StepProgress]:
    """A step on the display, and its seconds in the log once it is done."""
    started = time.monotonic()
    with display.step(title) as progress:
        yield progress
    log.add_seconds(key, time.monotonic() - started)


class _RunLog:
    """run.json: what ran, where, how long. Times add up over resumed runs."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.path = folder / "run.json"
        self.data: dict[str, Any] = {}
        if self.path.is_file():
            self.data = json.loads(self.path.read_text(encoding="utf-8"))
        self.data.setdefault("started", time.strftime("%Y-%m-%dT%H:%M:%S%z"))
        self.data.setdefault("seconds", {})
        self.update(
            name=recipe.name,
            purpose=recipe.purpose,
            mimovl=__version__,
            torch=str(torch.__version__),
            python=platform.python_version(),
            machine=_machine(),
        )

    def update(self, **values: Any) -> None:
        """Set entries and write the file."""
        self.data.update(values)
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(self.data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        partial.replace(self.path)

    def add_seconds(self, key: str, seconds: float) -> None:
        """Count time towards a step."""
        self.data["seconds"][key] = round(self.data["seconds"].get(key, 0.0) + seconds, 2)
        self.update()

    def finish(self, peak_memory_mb: float) -> None:
        """Everything is done; the memory is that of all processes together."""
        self.data.setdefault("finished", time.strftime("%Y-%m-%dT%H:%M:%S%z"))
        self.update(peak_memory_mb=max(peak_memory_mb, self.data.get("peak_memory_mb", 0.0)))


def _machine() -> dict[str, Any]:
    """Processor, cores and memory, as far as the system tells."""
    cpu, memory = platform.processor() or platform.machine(), 0.0
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                cpu = line.partition(":")[2].strip()
                break
        memory = int(Path("/proc/meminfo").read_text(encoding="utf-8").split()[1]) / 1024**2
    except (OSError, ValueError, IndexError):
        pass
    return {"cpu": cpu, "cores": os.cpu_count() or 1, "memory_gb": round(memory, 1), "system": sys.platform}


def _check_start(recipe: Recipe) -> None:
    """Refuse, before anything is made, what would stop the run when its data is made or its stages are trained."""
    check_trackers(recipe.tracking)
    if not recipe.stages and not recipe.rl:
        return
    check_sources(recipe.data.sources or {})
    if not recipe.base:
        read_config(embedded_base().folder if recipe.start == "embedded" else recipe.start)
    if recipe.rl and (recipe.data.imported or not any(recipe.data.prompts.values())):
        raise RecipeError(
            f"{recipe.rl.name} has no prompts; give data.prompts items of sources with the tasks it names"
            + (", which imported data cannot do yet" if recipe.data.imported else "")
        )
