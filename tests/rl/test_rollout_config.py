from __future__ import annotations

import pytest
from pydantic import ValidationError

from mimovl.rl import RLConfig
from mimovl.rl.rollout_config import RolloutConfig


def test_by_default_every_part_is_off_and_each_can_be_switched_on_alone() -> None:
    parts = ("continuous", "asynchronous_rewards", "early_termination")
    assert not any(getattr(RolloutConfig(), part) for part in parts)
    for part in parts:
        config = RLConfig.model_validate(
            {"tasks": {"a": 1}, "steps": 1, "learning_rate": dict.fromkeys(("vision", "projector", "language"), 1),
             "rollout": {part: True}}
        )  # fmt: skip
        assert [getattr(config.rollout, one) for one in parts] == [one == part for one in parts]


@pytest.mark.parametrize("wrong", [{"continous": True}, {"reward_tries": 0}, {"reward_seconds": 0}, {"margin": -1}])
def test_impossible_values_and_unknown_keys_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RolloutConfig.model_validate(wrong)
