"""A run directory → one HTML file that needs nothing else: styles, script, charts and pictures are all inside.

    mimovl report runs/tiny     →     runs/tiny/report.html

Everything a model wrote is escaped by the template engine; the page's content security policy lets nothing load and
only our own script (by its hash) run, should anything slip through. The file is replaced in one go.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimovl import __version__
from mimovl.evaluate import read_answers
from mimovl.report.alerts import build_alerts
from mimovl.report.checkpoints import all_scores, mode_rows, panel_label, score_panels
from mimovl.report.curves import rl_curves, training_curves
from mimovl.report.differences import compare, differences
from mimovl.report.facts import data_facts, key_numbers, machine_facts, timings
from mimovl.report.format import date, duration, integer, percent, plural
from mimovl.report.gallery import Gallery, build_gallery
from mimovl.report.html_page import render_template, write_page
from mimovl.report.palette import stage_title
from mimovl.report.pictures import Pictures
from mimovl.report.recipe_strip import StripStep, recipe_strip
from mimovl.report.rollouts import build_groups
from mimovl.report.run_directory import Checkpoint, Run, mapping, read_run
from mimovl.report.scores import checkpoint_label, compared, score_table, verdict_sentence

__all__ = ["write_report"]

SECTIONS = (
    ("scores", "Scores"),
    ("recipe", "Recipe"),
    ("training", "Training"),
    ("rl", "RL"),
    ("checkpoints", "By checkpoint"),
    ("differences", "Differences"),
    ("gallery", "Held-out answers"),
    ("rollouts", "Rollouts"),
    ("data", "Data"),
    ("machine", "Machine"),
    ("reproduce", "Do it again"),
)


@dataclass(frozen=True)
class ClockPiece:
    """A stretch of the bar that shows where the time went."""

    label: str
    weight: str
    shade: str


def write_report(run_dir: Path) -> Path:
    """Write ``report.html`` into a run directory, finished or not, and return its path.

    Raises:
        UsageError: There is no such directory.
    """
    run = read_run(Path(run_dir))
    path = run.path / "report.html"
    write_page(path, render(run))
    return path


def render(run: Run) -> str:
    """The page as text."""
    return render_template("report.html.j2", page=page_content(run))


def page_content(run: Run) -> dict[str, Any]:
    """Everything the template shows, section by section."""
    pictures = Pictures(run.datasets)
    before, after = compared(run)
    comparison = compare(before, after, run.notes)
    scored = [checkpoint for checkpoint in run.checkpoints if checkpoint.scores]
    strip = recipe_strip(run)
    gallery, gallery_of = _gallery(run, pictures)
    groups = build_groups(run.rl, pictures, run.notes) if run.rl else []
    alerts = build_alerts(run.rl, pictures, run.notes) if run.rl else []
    data = data_facts(run)
    return {
        "name": str(run.info.get("name") or run.path.resolve().name),
        "purpose": str(run.info.get("purpose") or ""),
        "stamp": _stamp(run),
        "verdict": verdict_sentence(before, after, comparison),
        "numbers": key_numbers(run),
        "unfinished": _unfinished(run),
        "sections": SECTIONS,
        "table": score_table(before, after, comparison) if after else None,
        "strip": strip,
        "clock": _clock(strip),
        "training": training_curves(run),
        "rl": rl_curves(run),
        "panels": score_panels(scored),
        "panel_labels": _panel_labels(scored),
        "modes": mode_rows(scored[-1]) if scored else [],
        "modes_of": checkpoint_label(scored[-1].name) if scored else "",
        "all_scores": all_scores(scored),
        "differences": differences(before, after, comparison) if before and after and comparison else None,
        "no_differences": _why_no_differences(before, after),
        "gallery": gallery,
        "gallery_of": gallery_of,
        "groups": groups,
        "alerts": alerts,
        "data": data,
        "removed": _removed(data.removed) if data else "",
        "machine": machine_facts(run),
        "timings": timings(run),
        "command": _command(run),
        "recipe": run.recipe,
        "version": __version__,
        "notes": run.notes + pictures.notes,
    }


def _gallery(run: Run, pictures: Pictures) -> tuple[Gallery | None, str]:
    """From the last checkpoint that has answers, even if its scores are not there yet."""
    for checkpoint in reversed(run.checkpoints):
        lines = read_answers(checkpoint.answers) if checkpoint.answers.exists() else []
        modes = {
            task: str(mapping(score).get("mode"))
            for task, score in checkpoint.scores.items()
            if mapping(score).get("mode")
        }
        gallery = build_gallery(checkpoint.name, lines, modes, pictures)
        if gallery:
            return gallery, checkpoint_label(checkpoint.name)
    return None, ""


def _stamp(run: Run) -> str:
    machine = mapping(run.info.get("machine"))
    pieces = [f"mimovl {run.info.get('mimovl') or ''}".strip()]
    if run.info.get("finished"):
        pieces.append(f"finished {date(run.info.get('finished'))}")
    elif run.info.get("started"):
        pieces.append(f"started {date(run.info.get('started'))}")
    pieces += [str(machine["cpu"])] if machine.get("cpu") else []
    return " · ".join(pieces)


def _unfinished(run: Run) -> str:
    if run.finished:
        return ""
    begun = [stage for stage in run.stages if stage.metrics or stage.done]
    running = next((stage for stage in begun if not stage.done), None)
    if running is not None:
        progress = f"step {integer(running.steps_done)} of {integer(running.steps_planned)}"
        where = f"{stage_title(running.name)} stands at {progress}"
    else:
        nothing = "the base parts are being made" if run.base else "training has not begun"
        where = f"{plural(len(begun), 'step')} of training finished" if begun else nothing
    return f"This run is not finished: {where}. What is missing below comes with the steps that are still to run."


def _panel_labels(scored: list[Checkpoint]) -> str:
    stages = [label for checkpoint in scored if (label := panel_label(checkpoint.name)).isdigit()]
    return f"columns {', '.join(stages)}: after that stage" if stages else ""


def _clock(strip: list[StripStep]) -> list[ClockPiece]:
    timed = [(step, step.seconds) for step in strip if step.seconds]
    total = sum(seconds for _, seconds in timed)
    if len(timed) < 2:
        return []
    pieces = []
    for index, (step, seconds) in enumerate(timed):
        name = f"Stage {step.number}" if step.kind == "stage" else step.title
        label = f"{name} {duration(seconds)}, {percent(seconds / total, 0)}"
        pieces.append(ClockPiece(label, f"{seconds / total:.4f}", f"{0.22 + 0.78 * index / (len(timed) - 1):.2f}"))
    return pieces


def _why_no_differences(before: Checkpoint | None, after: Checkpoint | None) -> str:
    if before is None or after is None:
        return "Differences appear here once two checkpoints have been evaluated on the same questions."
    return (
        f"{checkpoint_label(before.name)} and {checkpoint_label(after.name)} have no answers to the same questions "
        "to compare (answers.jsonl)."
    )


def _removed(count: float | None) -> str:
    if not count:
        return "No training picture had the perceptual hash of a held-out one."
    return f"{plural(count, 'training sample')} removed because the picture has the perceptual hash of a held-out one."


def _command(run: Run) -> str:
    folder = run.path.resolve().name
    return f"mimovl run {folder}/recipe.yaml --out {folder}-again\nmimovl report {folder}-again"
