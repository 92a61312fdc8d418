"""What one does with a loaded recipe: explain, hash, dump."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from mimovl.errors import RecipeError
from mimovl.pipeline.curate_config import load_curation
from mimovl.pipeline.reward_config import RewardRecipe
from mimovl.recipe import Recipe, dump_recipe, explain, explain_rows, explain_text, load_model, load_recipe, recipe_hash
from mimovl.recipe_schema import undocumented_fields
from mimovl.train.parallel_config import ParallelConfig
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
    kinds = {"reward": partial(load_model, RewardRecipe), "curate": load_curation}
    loaded = kinds.get(name.partition("-")[0], partial(load_model, Recipe))(RECIPES / name)
    assert loaded.recipe.purpose, "a recipe opens with its purpose"


def test_load_recipe_reports_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no such file"):
        load_recipe(tmp_path / "none.yaml")


OLD = """
name: old
purpose: A recipe as it was written before stages could be spread over processes.
data:
  train: {world/caption: 3}
stages:
- name: projector
  train: [projector]
  learning_rate: {projector: 1e-3}
  mixture: {world/caption: 1}
  steps: 5
  length: 2048
"""
STAGE = "{name: a, train: [projector], learning_rate: {projector: 1e-3}, length: 2048"


def test_new_sections_that_are_not_written_leave_the_hashes_of_older_recipes_alone(tmp_path: Path) -> None:
    path = tmp_path / "old.yaml"
    path.write_text(OLD, encoding="utf-8")
    old = recipe_hash(load_recipe(path).recipe)
    assert old == "780f589357685f6687dc98e3d0e9251573e16e36c08abdb4d9ca79d75cb5e0fb"
    for setting in ("parallel.compile=true", "stages.0.parallel.compile=true", "stages.0.workload.label_share=0.1"):
        assert recipe_hash(load_recipe(path, [setting]).recipe) != old


def test_a_stage_is_spread_as_it_says_or_as_the_recipe_says_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(OLD, encoding="utf-8")
    recipe = load_recipe(path).recipe
    assert recipe.parallel_of(recipe.stages[0]) == ParallelConfig()
    recipe = load_recipe(path, ["parallel.fsdp=full"]).recipe
    assert recipe.parallel_of(recipe.stages[0]).fsdp == "full"
    recipe = load_recipe(path, ["parallel.fsdp=full", "stages.0.parallel.context_parallel=2"]).recipe
    assert recipe.parallel_of(recipe.stages[0]) == ParallelConfig(context_parallel=2), "the whole section, not a part"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "name: x\ndata: {sources: {caption: a, ocr: b}}\n"
            + f"stages: [{STAGE}, steps: 1, mixture: {{captoin: 1}}}}]\n",
            "stage a mixes in 'captoin', which data.sources does not name; it has: caption, ocr; did you mean",
        ),
        (
            "name: x\ndata: {sources: {ocr: b}}\nevaluate: {median: true}\n",
            "evaluate.median answers from imported training conversations; data.sources has none",
        ),
        (
            f"name: x\nstages:\n- {STAGE}, mixture: {{ocr: 1}}}}\n",
            "r.yaml:3: stages.0: stage a has neither steps nor tokens",
        ),
        (
            f"name: x\nstages:\n- {STAGE}, mixture: {{ocr: 1}}, tokens: 1.5e0}}\n",
            "r.yaml:3: stages.0.tokens: expected a whole number",
        ),
        (
            "name: x\nparallel: {fsdp: of}\n",
            "r.yaml:2: parallel.fsdp: expected 'off', 'full' or 'hybrid', found 'of'",
        ),
    ],
)
def test_a_mistake_in_the_larger_sections_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert problem in str(caught.value)


def test_tokens_may_be_written_in_powers_of_ten_and_dumped_recipes_load_equal(tmp_path: Path) -> None:
    loaded = load_recipe(RECIPES / "mimo-vl-7b.yaml")
    assert [stage.tokens for stage in loaded.recipe.stages] == [300 * 10**9, 167 * 10**9, 1400 * 10**9, 550 * 10**9]
    again = tmp_path / "again.yaml"
    again.write_text(dump_recipe(loaded), encoding="utf-8")
    assert load_recipe(again).recipe == loaded.recipe


def test_the_7b_recipe_states_table_1_of_the_report() -> None:
    stages = load_recipe(RECIPES / "mimo-vl-7b.yaml").recipe.stages
    assert [stage.length for stage in stages] == [8192, 8192, 8192, 32768]
    everything = {"vision", "projector", "language"}
    assert [set(stage.train) for stage in stages] == [{"projector"}, {"vision", "projector"}, everything, everything]
    assert [dict(stage.learning_rate) for stage in stages] == [
        {"projector": 1e-3},
        {"projector": 1e-4, "vision": 1e-5},
        dict.fromkeys(everything, 1e-5),
        dict.fromkeys(everything, 2.5e-5),
    ]
    seen: set[str] = set()
    for stage in stages:  # each stage keeps what came before, and adds to it
        assert seen <= set(stage.mixture)
        seen |= set(stage.mixture)
    share = [sum(w for name, w in s.mixture.items() if "reasoning" in name) / sum(s.mixture.values()) for s in stages]
    assert share[3] > 5 * share[2] > 0, "reasoning grows much in the last stage"


def test_every_choice_the_report_leaves_open_is_marked_with_its_reason() -> None:
    """What is not in table 1 (its six columns) or by the authors' word is ours."""
    stated = {"name", "train", "learning_rate", "tokens", "length"}
    stage, marked = "", False
    for line in (RECIPES / "mimo-vl-7b.yaml").read_text(encoding="utf-8").partition("\nstages:\n")[2].splitlines():
        text = line.strip()
        if text.startswith("- name: "):
            stage = text.removeprefix("- name: ")
        key = text.removeprefix("- ").partition(":")[0]
        if text.startswith("#"):
            marked = marked or "# ours:" in text
        elif line.startswith("    ") and not line.startswith("      ") and key not in stated:
            only_captions = (stage, key) == ("projector", "mixture")  # table 1: image-caption data
            aliased = text == "optimizer: *adamw"
            assert "# ours:" in text or marked or only_captions or aliased, f"{stage}: {text}"
            marked = False
        elif not text or text.startswith("- "):
            marked = False
