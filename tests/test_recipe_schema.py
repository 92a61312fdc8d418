"""What a model allows at a path."""

from __future__ import annotations

from mimovl.recipe_model import RecipeModel
from mimovl.recipe_schema import default_at, fill_section_defaults, models_at, nested_models, undocumented_fields
from tests.recipe_models import Local, Optimizer, Remote, Run, Stage


def test_models_are_found_through_tuples_optionals_and_sections() -> None:
    assert models_at(Run, {}, ()) == [Run]
    assert models_at(Run, {"stages": [{}]}, ("stages", 0)) == [Stage]
    assert models_at(Run, {"stages": [{}]}, ("stages", 0, "optimizer")) == [Optimizer]
    assert models_at(Run, {}, ("rl",)) == [Optimizer]
    assert models_at(Run, {}, ("name",)) == []
    assert models_at(Run, {}, ("nothing", "there")) == []


def test_a_tag_picks_the_member_of_a_union() -> None:
    assert models_at(Run, {"engine": {"kind": "remote"}}, ("engine",)) == [Remote]
    assert models_at(Run, {"engine": {}}, ("engine",)) == [Local, Remote]
    assert models_at(Run, {"engine": {"kind": "wrong"}}, ("engine",)) == [Local, Remote]


def test_a_default_is_given_as_plain_values() -> None:
    assert default_at(Run, {}, ("stages",))[0]["name"] == "projector"
    assert default_at(Run, {}, ("rl",)) == {}
    assert default_at(Run, {}, ("no such",)) == {}


def test_a_partly_written_section_keeps_the_default_its_parent_declares() -> None:
    filled = fill_section_defaults(Run, {"stages": [{"name": "a", "optimizer": {"kind": "muon"}}]})
    assert filled["stages"][0]["optimizer"] == {"learning_rate": 3e-3, "betas": [0.9, 0.99], "kind": "muon"}
    assert "steps" not in filled["stages"][0]


def test_fields_without_a_meaning_are_listed() -> None:
    class Bare(RecipeModel):
        known: int = 1
        """Known."""
        bare: int = 2

    class Outer(RecipeModel):
        inner: dict[str, Bare] = {}
        """Inner."""

    assert nested_models(Outer) == [Outer, Bare]
    assert undocumented_fields(Outer) == ["Bare.bare"]
    assert undocumented_fields(Run) == []
