"""A file's sections tell which kind of recipe it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from mimovl.errors import RecipeError
from mimovl.pipeline.recipe_kinds import load_any_recipe

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
KINDS = {"reward": "RewardRecipe", "curate": "CurateRecipe"}
"""First word of a file's name → what it is read as; any other is a run's."""


@pytest.mark.parametrize("path", RECIPES, ids=[path.stem for path in RECIPES])
def test_every_shipped_recipe_is_read_as_what_it_is(path: Path) -> None:
    loaded = load_any_recipe(path)
    assert type(loaded.recipe).__name__ == KINDS.get(path.stem.split("-")[0], "Recipe")


def test_a_collection_of_preferences_is_told_by_who_answers_and_judges(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("prompts: p\ngenerators: {a: {checkpoint: c}}\nranker: {checkpoint: r}\n")
    loaded = load_any_recipe(path, ["limit=3"])
    assert (loaded.recipe.prompts, loaded.recipe.limit) == ("p", 3)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name: a\nstagse: []\n", "stagse: unknown key; did you mean 'stages'?"),
        ("name: a\nstart: s\npairs: {}\nstaeg: {}\n", "staeg: unknown key; did you mean 'stage'?"),
        ("- 1\n", "a recipe is a mapping"),
        ("", "is empty; it needs: name"),
    ],
)
def test_mistakes_are_told_in_the_words_of_that_kind(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        load_any_recipe(path)
    assert problem in str(caught.value)
