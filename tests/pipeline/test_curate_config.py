"""A recipe of curation: entries told by name, every slip named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from mimovl.curate.deduplicate import Deduplicate
from mimovl.curate.pipeline.registry import real
from mimovl.curate.readers.images import Images
from mimovl.errors import RecipeError
from mimovl.pipeline.curate_config import CurateRecipe, load_curation
from mimovl.recipe_schema import undocumented_fields

ROOT = Path(__file__).parent.parent.parent
TEXT = """name: x
read:
  - {reader: images, path: photos}
  - {reader: jsonl, path: captions.jsonl, needs_text: false}
steps:
  - {step: deduplicate, orientations: all}
  - {step: "examples/add_a_filter.py:NotTooShort", words: 5}
  - {step: deduplicate}
"""


def written(tmp_path: Path, text: str) -> Path:
    (tmp_path / "r.yaml").write_text(text)
    return tmp_path / "r.yaml"


def test_entries_are_readers_and_steps_of_their_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    recipe = load_curation(written(tmp_path, TEXT), ["read.0.path=other", "steps.1.words=6"]).recipe
    assert recipe.read[0] == Images(path="other") and recipe.read[1].needs_text is False
    assert recipe.steps[0] == Deduplicate(orientations="all") and recipe.steps[2] == Deduplicate()
    own = real(recipe.steps[1], "step")
    assert own.words == 6 and own.step == "not_too_short"
    changed = load_curation(written(tmp_path, TEXT), ["steps.2.step=hash_pictures"]).recipe
    assert changed.steps[2].step == "hash_pictures"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "step: deduplicate}",
            "step: dedup}",
            r"r\.yaml:8: steps\.2: unknown step 'dedup'; did you mean 'dedup",
        ),
        ("reader: jsonl", "reader: json", r"r\.yaml:4: read\.1: unknown reader 'json'; did you mean 'jsonl'"),
        ("orientations: all", "orientation: all", r"r\.yaml:6: steps\.0\.orientation: unknown key; did you mean"),
        ("needs_text: false", "needs_text: 3", r"read\.1\.needs_text: expected true or false"),
        ("{step: deduplicate}", "deduplicate", r"r\.yaml:8: steps\.2: write it as a section with step: NAME"),
        (":NotTooShort", ":NotTooLong", r"has no function 'NotTooLong'; did you mean 'NotTooShort'"),
        ("name: x", "nam: x", "name: required key is missing"),
    ],
)
def test_each_slip_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, message: str
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(RecipeError, match=message):
        load_curation(written(tmp_path, TEXT.replace(old, new)))


def test_every_field_has_a_meaning_and_the_shipped_recipe_loads() -> None:
    assert undocumented_fields(CurateRecipe) == []
    assert load_curation(ROOT / "recipes" / "curate-bccd.yaml").recipe.name == "curate-bccd"
