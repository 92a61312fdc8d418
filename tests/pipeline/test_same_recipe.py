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
