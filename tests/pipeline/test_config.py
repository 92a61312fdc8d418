import pytest
from pydantic import ValidationError

from mimovl.pipeline.config import BaseConfig, DataConfig, EvaluateConfig, LongConfig, VisionBaseConfig
from tests import tiny


@pytest.mark.parametrize("field", ["train", "heldout", "prompts"])
def test_a_source_the_world_does_not_have_is_named_with_those_it_has(field: str) -> None:
    with pytest.raises(ValidationError, match=f"{field} names source 'world/gifs'.*world/caption, .*world/text"):
        DataConfig.model_validate({field: {"world/gifs": 3}})


def test_long_samples_are_led_by_sources_of_the_world_too() -> None:
    with pytest.raises(ValidationError, match="items names source 'long/clip'"):
        LongConfig.model_validate({"items": {"long/clip": 3}})
    with pytest.raises(ValidationError, match="join"):
        LongConfig.model_validate({"join": 1})


@pytest.mark.parametrize("source", ["world/arithmetic", "world/text", "world/interleaved"])
def test_the_vision_tower_learns_from_annotated_pictures_only(source: str) -> None:
    with pytest.raises(ValidationError, match=f"'{source}', which has no annotated pictures"):
        VisionBaseConfig.model_validate({"sources": {"world/ocr": 1, source: 1}, "steps": 1})


def test_the_vision_tower_names_a_source_that_is_not_there() -> None:
    with pytest.raises(ValidationError, match="sources names source 'world/gifs'"):
        VisionBaseConfig.model_validate({"sources": {"world/gifs": 1}, "steps": 1})


def test_a_base_needs_both_parts() -> None:
    with pytest.raises(ValidationError, match="vision"):
        BaseConfig.model_validate({"language": [tiny.stage().model_dump()]})


def test_an_evaluation_asks_in_known_modes() -> None:
    with pytest.raises(ValidationError, match="modes"):
        EvaluateConfig.model_validate({"modes": ["loudly"]})


@pytest.mark.parametrize(
    "values",
    [
        {"sources": {"ocr": "data/ocr"}, "train": {"world/ocr": 1}},
        {"sources": {"ocr": "data/ocr"}, "imported": "photos"},
        {"sources": {}},
    ],
)
def test_training_samples_come_from_one_place(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="sources names at least one folder, and stands alone"):
        DataConfig.model_validate(values)
