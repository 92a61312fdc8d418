"""Strict loading: every error names place, path, what was found and the cure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import Field

from mimovl.errors import RecipeError
from mimovl.recipe_load import Loaded, load_model
from mimovl.recipe_model import RecipeModel
from tests.recipe_models import Remote, Run

Load = Callable[..., Loaded[Run]]

GOOD = """\
name: tiny
mixture:
  world/ocr: 2
stages:
  - name: projector
    steps: 5
    optimizer:
      betas: [0.8, 1e-1]
  - name: vision
    steps: 6
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    monkeypatch.chdir(tmp_path)

    def load_text(text: str, *overrides: str) -> Loaded[Run]:
        Path("r.yaml").write_text(text, encoding="utf-8")
        return load_model(Run, "r.yaml", overrides)

    return load_text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name: a\nmixtrue: {}\n", "r.yaml:2: mixtrue: unknown key; did you mean 'mixture'? Valid keys: name, out, "),
        ("name: a\nzzz: 1\n", "r.yaml:2: zzz: unknown key. Valid keys: name, out, "),
        ("name: a\nrl:\n  Kind: muon\n", "r.yaml:3: rl.Kind: unknown key; did you mean 'kind'?"),
        ("name: a\nrl:\n  learning_rate: fast\n", "r.yaml:3: rl.learning_rate: expected a number, found 'fast'"),
        ("name: a\nrl:\n  learning_rate: '0.1'\n", "r.yaml:3: rl.learning_rate: expected a number, found '0.1'"),
        ("name: a\nrl:\n  learning_rate: -1\n", "r.yaml:3: rl.learning_rate: expected greater than 0, found -1"),
        ("name: a\nrl:\n  learning_rate: .inf\n", "r.yaml:3: rl.learning_rate: expected a finite number, found inf"),
        ("name: a\nrl:\n  betas: [1, x]\n", "r.yaml:3: rl.betas.1: expected a number, found 'x'"),
        ("name: a\nrl: {kind: adam}\n", "rl.kind: expected 'adamw' or 'muon', found 'adam'; did you mean 'adamw'?"),
        ("name: 3\n", "r.yaml:1: name: expected a text, found 3"),
        ("name: yes\nrl: 3\n", "r.yaml:2: rl: expected a section (key: value lines), found 3"),
        ("name: a\nstages: {x: 1}\n", "r.yaml:2: stages: expected a list, found a section"),
        ("name: a\nstages:\n- name: p\n  steps: true\n", ":4: stages.0.steps: expected a whole number, found true"),
        ("name: a\nstages:\n- name: p\n", ":3: stages.0.steps: required key is missing (Number of optimiser steps.)"),
        ("out: x\n", "r.yaml:1: name: required key is missing (Name of the run.)"),
        ("name: a\nlimit: few\n", "r.yaml:2: limit: expected a whole number or 'all', found 'few'"),
        ("name: a\nengine: {kind: remote, slots: 3}\n", "r.yaml:2: engine.slots: unknown key"),
        ("name: a\ntrain: []\n", "r.yaml:2: train: expected at least 1 items, found 0"),
        ("name: a\nname: b\n", "r.yaml:2: name: written twice (first on line 1); keep one"),
        ("- 1\n", "r.yaml:1: a recipe is a mapping (key: value), found a list of 1"),
        ("# nothing\n", "r.yaml is empty; it needs: name"),
        (
            "name: a\nstages:\n- name: p\n  steps: 2000\n  optimizer: {kind: muon}\n",
            "r.yaml:3: stages.0: muon with 2000 steps; use at most 1000 or adamw",
        ),
    ],
)
def test_a_mistake_is_named_with_line_path_and_cure(load: Load, text: str, problem: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load(text)
    assert problem in str(caught.value)


def test_all_problems_are_listed_at_once_in_file_order(load: Load) -> None:
    with pytest.raises(RecipeError) as caught:
        load("rl: {kind: x}\nbad: 1\nstages:\n  - steps: 1\n", "nope=1")
    lines = str(caught.value).splitlines()
    assert lines[0] == "r.yaml has 5 problems:"
    assert [line.split(": ")[0].strip() for line in lines[1:]] == [
        "r.yaml:1", "r.yaml:1", "r.yaml:2", "r.yaml:4", "--set",
    ]  # fmt: skip


class Derived(RecipeModel):
    """A section with a default that follows from another value."""

    packs: int
    """Packs of a step."""
    at_once: int = Field(default_factory=lambda values: int(values["packs"]))
    """Packs computed together."""


def test_a_default_that_follows_from_a_wrong_value_is_no_problem_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("packs: 3\n")
    assert load_model(Derived, path).recipe.at_once == 3
    with pytest.raises(RecipeError) as caught:
        load_model(Derived, path, ["packs=many"])
    assert str(caught.value) == "--set: packs: expected a whole number, found 'many'"


def test_a_list_is_not_called_too_short_for_its_wrong_items(load: Load) -> None:
    with pytest.raises(RecipeError) as caught:
        load("name: a\ntrain: [vison]\n")
    expected = "r.yaml:2: train.0: expected 'vision' or 'language', found 'vison'; did you mean 'vision'?"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("trian=3", "--set: trian: unknown key"),
        ("nam=x", "--set: nam: unknown key; did you mean 'name'?"),
        ("rl.betas2=3", "--set: rl.betas2: unknown key; did you mean 'betas'?"),
        ("stages.9.steps=3", "--set stages.9.steps: stages has 2 items, so the last is stages.1, not 9"),
        ("stages.vison.steps=3", "no item of stages is named 'vison'; did you mean 'vision'?"),
        ("name.x=3", "--set name.x: name is a value ('tiny'), it has no 'x' inside"),
        ("stages.0.steps=many", "--set: stages.0.steps: expected a whole number, found 'many'"),
        ("rl.kind=", "--set: rl.kind: expected 'adamw' or 'muon', found nothing (null)"),
        ("steps", "--set steps: write it as path=value"),
        ("a..b=1", "--set a..b=1: write it as path=value"),
        ("name=[1", "--set name:1:3: not valid YAML"),
        ("rl={kind: muon, kind: muon}", "--set rl: kind: written twice"),
    ],
)
def test_a_bad_override_is_refused_with_the_nearest_path(load: Load, override: str, problem: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load(GOOD, override)
    assert problem in str(caught.value)


def test_overrides_apply_in_order_and_parse_as_yaml(load: Load) -> None:
    recipe = load(GOOD, "stages.0.steps=7", "stages.projector.steps=8", "mixture.world/gui=1e-1", "name='1'").recipe
    assert recipe.stages[0].steps == 8
    assert recipe.mixture == {"world/ocr": 2.0, "world/gui": 0.1}
    assert recipe.name == "1"


def test_an_override_inside_an_absent_section_changes_only_that_value(load: Load) -> None:
    recipe = load("name: a\n", "stages.vision.steps=9", "rl.kind=muon", "engine.slots=2").recipe
    assert [stage.steps for stage in recipe.stages] == [3, 9]
    assert recipe.rl is not None and recipe.rl.kind == "muon" and recipe.rl.learning_rate == 1e-3
    assert recipe.engine.slots == 2  # type: ignore[union-attr]


def test_writing_one_key_of_a_section_keeps_its_parents_other_defaults(load: Load) -> None:
    optimizer = load(GOOD).recipe.stages[0].optimizer
    assert optimizer.betas == (0.8, 0.1)
    assert optimizer.learning_rate == 3e-3


def test_a_union_member_is_chosen_by_its_tag(load: Load) -> None:
    assert load("name: a\nengine: {kind: remote}\n").recipe.engine == Remote(kind="remote")


def test_each_value_knows_where_it_was_written(load: Load) -> None:
    loaded = load(GOOD, "stages.0.steps=7", "stages.0.optimizer.kind=muon")
    assert loaded.origin("name") == "r.yaml:1"
    assert loaded.origin("stages.0.steps") == "--set"
    assert loaded.origin("stages.0.optimizer") == "r.yaml:7, --set"
    assert loaded.origin("stages.0.optimizer.learning_rate") == "default"
    assert loaded.origin("stages.1.steps") == "r.yaml:10"
    assert loaded.origin("rl") == "default"
    assert load(GOOD, "rl.kind=muon").origin("rl") == "--set"


def test_an_empty_file_may_be_all_overrides(load: Load) -> None:
    assert load("", "name=x").recipe.name == "x"
