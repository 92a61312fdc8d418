from __future__ import annotations

from pathlib import Path

import pytest

from mimovl.errors import RecipeError
from mimovl.pipeline.begin import begin
from tests.pipeline import micro


def test_it_keeps_the_recipe_with_the_run(tiny_start: Path, tmp_path: Path) -> None:
    path = micro.write(tmp_path / "micro.yaml", micro.recipe(tiny_start))
    recipe, folder = begin(path, tmp_path / "out", ["seed=4"])
    assert recipe.seed == 4 and (folder / "recipe.yaml").is_file()
    with pytest.raises(RecipeError, match="seed"):
        begin(path, tmp_path / "out")


def test_folders_of_prompts_that_are_not_there_are_named_before_anything_is_made(tiny_start, tmp_path) -> None:
    values = micro.recipe(tiny_start)
    values["data"] |= {"prompts": {}, "prompt_folders": [str(tmp_path / "nowhere")]}
    with pytest.raises(RecipeError, match="data.prompt_folders: .*nowhere: no such dataset"):
        begin(micro.write(tmp_path / "micro.yaml", values), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_reinforcement_learning_asks_something(tiny_start: Path, tmp_path: Path) -> None:
    values = micro.recipe(tiny_start)
    values["data"]["prompts"] = {}
    with pytest.raises(RecipeError, match="has no prompts; give data.prompts items .*data.prompt_folders"):
        begin(micro.write(tmp_path / "micro.yaml", values), tmp_path / "out")
