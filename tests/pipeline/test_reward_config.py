import pytest
from pydantic import ValidationError

from mimovl.pipeline.reward_config import RewardRecipe
from mimovl.recipe_schema import undocumented_fields
from tests.pipeline.reward_recipe import recipe


def changed(**changes):
    return RewardRecipe.model_validate(recipe("start", **changes))


def test_every_field_of_the_recipe_has_a_meaning() -> None:
    assert undocumented_fields(RewardRecipe) == []


def test_the_micro_recipe_is_one() -> None:
    assert changed().ties == "keep"


STAGE = recipe("start")["stage"]
WORLD = recipe("start")["pairs"]["world"]
FOLDERS = {"train": "a", "calibration": "b", "heldout": "c"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "text"}, "stage.train has projector, which a text reward model does not use"),
        (
            {"stage": {**STAGE, "train": ["language"], "learning_rate": {"language": 1e-3}}},
            "stage.train leaves out reward, the head",
        ),
        ({"stage": {**STAGE, "loading": {}}}, "stage.loading measures samples by their headers"),
        ({"pairs": {}}, "pairs has no train; give folders"),
        ({"pairs": {**FOLDERS, "heldout": ""}}, "pairs has no heldout"),
        ({"pairs": {**FOLDERS, "world": WORLD}}, "pairs has world and the folder train"),
        ({"pairs": {**FOLDERS, "heldout": "a"}}, "must be three folders"),
        ({"pairs": {"world": {**WORLD, "train": {"world/countin": 3}}}}, "did you mean 'world/counting'"),
        ({"pairs": {"world": {**WORLD, "heldout": {}}}}, "pairs.world.heldout has no item"),
        ({"pairs": {"world": {**WORLD, "ties": 0.8}}}, "are more than all pairs"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(changes, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        changed(**changes)
