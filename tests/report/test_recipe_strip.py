from __future__ import annotations

import shutil
from pathlib import Path

from mimovl.report.recipe_strip import recipe_strip
from mimovl.report.run_directory import read_run
from tests.report.run_directory import write_lines


def test_a_finished_run_shows_every_step_with_what_it_trained(finished_run: Path) -> None:
    strip = recipe_strip(read_run(finished_run))
    assert [step.title for step in strip] == [
        "Data", "Projector", "Vision", "Everything", "Long context", "MORL", "Scores",
    ]  # fmt: skip
    assert {step.state for step in strip} == {"done"}
    first = strip[1]
    assert [(part.name, part.trained) for part in first.parts] == [
        ("Vision", False), ("Projector", True), ("Language", False),
    ]  # fmt: skip
    assert first.parts[1].rate == "2e\u22123"
    assert first.facts == ("30 steps", "246\u202fk tokens", "packs of 1,024")
    assert first.time


def test_steps_still_to_come_are_read_from_the_recipe(own_run: Path) -> None:
    for name in ("3-everything", "4-long-context", "5-morl", "evaluate"):
        shutil.rmtree(own_run / name)
    (own_run / "run.json").unlink()
    (own_run / "2-vision" / "done.json").unlink()
    strip = recipe_strip(read_run(own_run))
    assert [(step.title, step.state) for step in strip] == [
        ("Data", "waiting"), ("Projector", "done"), ("Vision", "running"), ("Everything", "waiting"),
        ("Long context", "waiting"), ("MORL", "waiting"), ("Scores", "waiting"),
    ]  # fmt: skip
    assert strip[2].facts[0] == "step 60 of 60"
    assert strip[3].facts == ("30 steps", "packs of 1,024")


def test_a_recipe_without_reinforcement_learning_shows_none(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("stages: []\nrl: null\n")
    assert [step.title for step in recipe_strip(read_run(tmp_path))] == ["Data", "Scores"]


def test_base_parts_are_a_step(tmp_path: Path) -> None:
    write_lines(tmp_path / "base" / "language" / "metrics.jsonl", [{"step": 3, "steps": 10, "loss": 2.0}])
    base = recipe_strip(read_run(tmp_path))[1]
    assert (base.title, base.state, base.facts) == ("Base parts", "running", ("step 3 of 10, language",))
