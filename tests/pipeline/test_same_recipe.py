from pathlib import Path

import pytest

from mimovl.errors import RecipeError
from mimovl.pipeline.same_recipe import same_recipe


def test_the_recipe_is_kept_and_the_same_one_goes_on(tmp_path: Path) -> None:
    same_recipe(tmp_path, "name: a\nsteps: 3\n")
    assert (tmp_path / "recipe.yaml").read_text() == "name: a\nsteps: 3\n"
    same_recipe(tmp_path, "steps: 3\nname: a\nlater: null\n")  # an option nobody set is no difference


def test_another_recipe_is_refused_by_the_line_that_differs(tmp_path: Path) -> None:
    same_recipe(tmp_path, "name: a\nsteps: 3\n")
    with pytest.raises(RecipeError, match=r"recipe.yaml:2 says 'steps: 3', this one says 'steps: 4'; choose another"):
        same_recipe(tmp_path, "name: a\nsteps: 4\n")


@pytest.mark.parametrize(
    "change",
    [
        "workers: 4",
        "tracking: {wandb: true}",
        "stages: [{name: one, save_seconds: 9}]",
        "stages: [{name: one, keep: 3}]",
        "stages: [{name: one, parallel: {activation_checkpointing: full, compile: true}}]",
        "stages: [{name: one, loading: {workers: 3, ahead: 9}}]",
    ],
)
def test_on_how_many_processes_with_how_much_memory_and_how_often_saved_may_change(change: str, tmp_path: Path) -> None:
    same_recipe(tmp_path, "name: a\nworkers: 1\nstages: [{name: one, loading: {workers: 2, ahead: 4}}]\n")
    texts = {"workers: 1": "workers: 1", "stages": "stages: [{name: one, loading: {workers: 2, ahead: 4}}]"}
    key = change.partition(":")[0]
    texts["workers: 1" if key == "workers" else key] = change
    same_recipe(tmp_path, "name: a\n" + "\n".join(texts.values()) + "\n")
    assert change in (tmp_path / "recipe.yaml").read_text()


def test_what_decides_what_is_read_may_not_change(tmp_path: Path) -> None:
    same_recipe(tmp_path, "name: a\nstages: [{name: one, loading: {window: 48, workers: 2}}]\n")
    with pytest.raises(RecipeError, match="holds a run of another recipe"):
        same_recipe(tmp_path, "name: a\nstages: [{name: one, loading: {window: 64, workers: 2}}]\n")
