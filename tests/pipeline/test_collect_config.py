import pytest
from pydantic import ValidationError

from mimovl.pipeline.collect_config import CollectRecipe
from mimovl.recipe_schema import undocumented_fields

VALUES = {"prompts": "p", "generators": {"a": {"checkpoint": "x"}}, "ranker": {"load": "m:f"}, "samples": 2}


def test_every_field_has_a_meaning() -> None:
    assert undocumented_fields(CollectRecipe) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ranker": {}}, "a model has either a checkpoint or a load"),
        ({"ranker": {"checkpoint": "x", "load": "m:f"}}, "a model has either a checkpoint or a load"),
        ({"ranker": {"checkpoint": "x", "arguments": {"a": 1}}}, "arguments belong to load"),
        ({"question": "Which of {first} is better?"}, "question lacks {second}"),
        ({"generators": {"a/b": {"checkpoint": "x"}}}, "pattern"),
        ({"generators": {}}, "at least 1"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(changes, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CollectRecipe.model_validate({**VALUES, **changes})
