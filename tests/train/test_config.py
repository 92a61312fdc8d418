import pytest
from pydantic import ValidationError

from mimovl.train import OptimizerConfig, StageConfig
from tests import tiny


def test_a_trained_part_needs_a_learning_rate() -> None:
    with pytest.raises(ValidationError, match="stage general trains projector but gives it no learning_rate"):
        tiny.stage(learning_rate={"vision": 1e-3, "language": 1e-3})


def test_a_learning_rate_needs_a_trained_part() -> None:
    with pytest.raises(ValidationError, match="gives language a learning_rate but does not train it"):
        tiny.stage(train=["projector", "vision"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Two words"),
        ("train", []),
        ("train", ["head"]),
        ("learning_rate", {"vision": 0, "projector": 1, "language": 1}),
        ("mixture", {}),
        ("mixture", {"world/clip": -1}),
        ("steps", 0),
        ("length", 10),
        ("packs", 0),
        ("warmup", 1.5),
        ("schedule", "exponential"),
        ("momentum", 0.9),
    ],
)
def test_impossible_values_and_unknown_keys_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        tiny.stage(**{field: value})


def test_the_optimizer_defaults_are_those_of_mimo_7b() -> None:
    default = OptimizerConfig()
    assert (default.name, default.betas, default.weight_decay, default.clip_norm) == ("adamw", (0.9, 0.95), 0.1, 1.0)


@pytest.mark.parametrize(
    ("tokens", "packs", "steps"), [(256, 1, 1), (257, 1, 2), (2560, 10, 1), (2561, 10, 2), (300e9, 2560, 457_764)]
)
def test_tokens_are_as_many_steps_as_take_them_in_full_packs(tokens: float, packs: int, steps: int) -> None:
    stage = tiny.stage(steps=None, tokens=tokens, packs=packs)
    assert (stage.steps, stage.tokens) == (steps, tokens)
    assert StageConfig.model_validate(stage.model_dump()) == stage
    assert StageConfig.model_validate_json(stage.model_dump_json(), strict=True) == stage


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({}, "stage general has neither steps nor tokens; give one of them"),
        ({"tokens": 2560, "steps": 9}, "has 9 steps and 2560 tokens, which are 10 steps of 1 × 256; take one"),
        ({"tokens": 0}, "tokens"),
        ({"tokens": 1.5}, "tokens"),
        ({"tokens": 2560, "length": "long"}, "length"),
        ({"tokens": 2560, "packs": 0}, "packs"),
    ],
)
def test_a_stage_has_a_length_of_its_own_one_way_or_the_other(values: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        tiny.stage(**{"steps": None, **values})
