import pytest
from pydantic import ValidationError

from mimovl.train import OptimizerConfig
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
