"""The recipe in one picture: data → stages → reinforcement learning → scores, with what each step trained and took.

Stages that have not begun are read from the run's ``recipe.yaml``, so the picture is whole from the first minute.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from mimovl.report.format import compact, duration, finite, integer, learning_rate, plural
from mimovl.report.palette import stage_title
from mimovl.report.run_directory import Record, Run, Stage, mapping

__all__ = ["Part", "StripStep", "recipe_strip"]

State = Literal["done", "running", "waiting"]
_PARTS = {"vision": "Vision", "projector": "Projector", "language": "Language"}


@dataclass(frozen=True)
class Part:
    """A part of the model in one step; ``rate`` is its peak learning rate as text, empty if frozen or unknown."""

    name: str
    trained: bool
    rate: str


@dataclass(frozen=True)
class StripStep:
    """One card of the strip."""

    kind: Literal["data", "base", "stage", "rl", "scores"]
    number: str
    title: str
    state: State
    parts: tuple[Part, ...]
    facts: tuple[str, ...]
    seconds: float | None

    @property
    def time(self) -> str:
        """How long it took, empty if unknown."""
        return duration(self.seconds) if self.seconds else ""


def recipe_strip(run: Run) -> list[StripStep]:
    """The cards of the strip, in order of running."""
    planned = _planned_stages(run.settings)
    names = [stage.name for stage in run.training]
    names += [name for name in planned if name not in names]
    begun = {stage.name: stage for stage in run.training}
    steps = [_data_step(run), *([_base_step(run)] if run.base else [])]
    for name in sorted(names, key=lambda name: int(name.split("-")[0])):
        steps.append(_stage_step(name, begun.get(name), planned.get(name, {})))
    rl = run.rl
    if rl is not None:
        steps.append(_rl_step(rl))
    elif planned_rl := mapping(run.settings.get("rl")):
        facts = _present([plural(planned_rl.get("steps"), "update") if finite(planned_rl.get("steps")) else ""])
        title = stage_title(str(planned_rl.get("name") or "morl"))
        parts = _parts(planned_rl.get("train"), mapping(planned_rl.get("learning_rate")))
        steps.append(StripStep("rl", "RL", title, "waiting", parts, facts, None))
    return [*steps, _scores_step(run)]


def _planned_stages(settings: Record) -> dict[str, Record]:
    """Folder name → section of the recipe; a stage's folder is its number and name."""
    listed = settings.get("stages")
    sections = [mapping(section) for section in listed] if isinstance(listed, list) else []
    return {f"{number}-{section.get('name', 'stage')}": section for number, section in enumerate(sections, 1)}


def _base_step(run: Run) -> StripStep:
    facts = [_steps_fact(part, {}) + f", {part.name}" for part in run.base]
    seconds = finite(mapping(run.info.get("seconds")).get("base"))
    state: State = "done" if seconds else "running"
    names = [part.name for part in run.base]
    return StripStep("base", "", "Base parts", state, _parts(names, {}), tuple(facts), seconds)


def _parts(trained: Any, rates: Record) -> tuple[Part, ...]:
    names = [str(name) for name in trained] if isinstance(trained, list | tuple) else []
    if not names:
        return ()
    others = [name for name in names if name not in _PARTS]
    return tuple(
        Part(_PARTS.get(name, name), name in names, learning_rate(rates.get(name)) if name in rates else "")
        for name in [*_PARTS, *others]
    )


def _state(stage: Stage | None) -> State:
    return "waiting" if stage is None or not (stage.metrics or stage.done) else "done" if stage.done else "running"


def _steps_fact(stage: Stage | None, planned: Record) -> str:
    total = (stage.steps_planned if stage else 0) or planned.get("steps")
    if stage is None or stage.done:
        return plural(total, "step") if finite(total) else ""
    return f"step {integer(stage.steps_done)} of {integer(total)}"


def _stage_step(name: str, stage: Stage | None, planned: Record) -> StripStep:
    done = stage.done if stage else {}
    last = stage.metrics[-1] if stage and stage.metrics else {}
    tokens = finite(done.get("tokens")) or finite(last.get("tokens"))
    length = finite(done.get("length")) or finite(planned.get("length"))
    facts = [_steps_fact(stage, planned)]
    facts += [f"{compact(tokens)} tokens"] if tokens else []
    facts += [f"packs of {integer(length)}"] if length else []
    rates = mapping(done.get("learning_rate")) or mapping(planned.get("learning_rate"))
    parts = _parts(done.get("trained") or planned.get("train"), rates)
    seconds = finite(done.get("seconds")) or finite(last.get("seconds"))
    return StripStep("stage", name.split("-")[0], stage_title(name), _state(stage), parts, _present(facts), seconds)


def _rl_step(stage: Stage) -> StripStep:
    facts = [_steps_fact(stage, {})]
    sampled = sum(finite(line.get("groups_sampled")) or 0 for line in stage.metrics)
    facts += [f"{compact(sampled)} groups"] if sampled else []
    tokens = finite(stage.done.get("tokens"))
    facts += [f"{compact(tokens)} tokens"] if tokens else []
    tasks = {task for line in stage.metrics for task in mapping(line.get("reward_by_task"))}
    facts += [plural(len(tasks), "task") + " together"] if tasks else []
    seconds = finite(stage.done.get("seconds"))
    if seconds is None and stage.metrics:
        seconds = finite(stage.metrics[-1].get("seconds"))
    parts = _parts(stage.done.get("trained"), mapping(stage.done.get("learning_rate")))
    return StripStep("rl", "RL", stage_title(stage.name), _state(stage), parts, _present(facts), seconds)


def _data_step(run: Run) -> StripStep:
    data = mapping(run.info.get("data"))
    counts = [finite(count) or 0 for count in mapping(data.get("counts")).values()]
    dropped = sum(finite(count) or 0 for count in mapping(data.get("dropped")).values())
    facts = [f"{compact(sum(counts))} samples", plural(len(counts), "source")] if counts else []
    facts += [f"{integer(dropped)} dropped"] if dropped else []
    seconds = mapping(run.info.get("seconds")).get("data")
    state: State = "done" if counts else "waiting"
    return StripStep("data", "", "Data", state, (), _present(facts), finite(seconds))


def _scores_step(run: Run) -> StripStep:
    scored = [checkpoint for checkpoint in run.checkpoints if checkpoint.scores]
    facts: list[str] = []
    if scored:
        questions = sum(finite(mapping(score).get("n")) or 0 for score in scored[-1].scores.values())
        facts = [
            plural(len(scored), "checkpoint"),
            plural(len(scored[-1].scores), "task"),
            plural(questions, "question"),
        ]
    times = [finite(checkpoint.summary.get("seconds")) or 0 for checkpoint in scored]
    state: State = "waiting" if not scored else "done" if run.finished or not run.stages else "running"
    return StripStep("scores", "", "Scores", state, (), _present(facts), sum(times) or None)


def _present(facts: Iterable[str]) -> tuple[str, ...]:
    return tuple(fact for fact in facts if fact)
