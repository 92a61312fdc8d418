"""What one does with a loaded recipe: explain, hash, dump."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from mimovl.errors import RecipeError
from mimovl.recipe import Recipe, dump_recipe, explain, explain_rows, explain_text, load_model, load_recipe, recipe_hash
from mimovl.recipe_schema import undocumented_fields
from tests.recipe_models import Run

RECIPES = Path(__file__).parent.parent / "recipes"
TEXT = "name: tiny\nstages:\n- {name: a, steps: 5}\n- {name: b, steps: 6, optimizer: {betas: [0.5, 0.6]}}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "r.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_every_field_of_the_recipe_has_a_meaning() -> None:
    assert undocumented_fields(Recipe) == []


def test_explain_gives_every_value_with_meaning_and_origin(path: Path) -> None:
    rows = {row.path: row for row in explain_rows(load_model(Run, path, ["rl.kind=muon"]))}
    assert rows["stages.b.optimizer.betas"].value == "[0.5, 0.6]"
    assert rows["stages.b.optimizer.betas"].origin == f"{path}:4"
    assert rows["stages.a.optimizer.learning_rate"].value == "0.003"
    assert rows["stages.a.optimizer.learning_rate"].origin == "default"
    assert rows["stages.a.optimizer.learning_rate"].meaning == "Peak learning rate."
    assert rows["rl.kind"].origin == "--set"
    assert all(row.meaning for row in rows.values())


def test_an_explained_path_can_be_set(path: Path) -> None:
    for row in explain_rows(load_model(Run, path)):
        if row.value:
            load_model(Run, path, [f"{row.path}={row.value}"])


def test_explain_prints_as_text_and_as_table(path: Path) -> None:
    loaded = load_model(Run, path)
    assert f'name = "tiny"  # Name of the run. [{path}:1]' in explain_text(loaded).splitlines()
    console = Console(width=240, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(explain(loaded))
        assert 'name = "tiny"' in console.export_text()


def test_equal_recipes_have_equal_hashes_however_they_are_written(tmp_path: Path, path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("# a comment\nmixture: {world/ocr: 1.0}\n" + TEXT, encoding="utf-8")
    first = recipe_hash(load_model(Run, path).recipe)
    assert recipe_hash(load_model(Run, other).recipe) == first
    assert recipe_hash(load_model(Run, path, ["stages.a.steps=4"]).recipe) != first
    assert len(first) == 64


def test_a_dumped_recipe_loads_equal(tmp_path: Path, path: Path) -> None:
    loaded = load_model(Run, path, ["rl.learning_rate=1e-5", "name='1e3'"])
    again = tmp_path / "again.yaml"
    again.write_text(dump_recipe(loaded), encoding="utf-8")
    assert load_model(Run, again).recipe == loaded.recipe


def test_equal_recipes_are_dumped_alike_wherever_their_files_lie(tmp_path: Path, path: Path) -> None:
    other = tmp_path / "elsewhere.yaml"
    other.write_text("# a comment\n" + TEXT, encoding="utf-8")
    assert dump_recipe(load_model(Run, other)) == dump_recipe(load_model(Run, path))


@pytest.mark.parametrize("name", sorted(p.name for p in RECIPES.glob("*.yaml")))
def test_every_shipped_recipe_loads(name: str) -> None:
    loaded = load_recipe(RECIPES / name)
    assert loaded.recipe.purpose, "a recipe opens with its purpose"


def test_load_recipe_reports_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no such file"):
        load_recipe(tmp_path / "none.yaml")
