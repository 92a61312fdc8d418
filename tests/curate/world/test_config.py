from typing import Any

import pytest
from pydantic import ValidationError

from mimovl.curate.world import WorldConfig


def test_defaults_are_valid() -> None:
    assert WorldConfig().chinese_share == 0.06


def test_every_field_says_what_it_means() -> None:
    assert [name for name, field in WorldConfig.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"picture_sides": [100]}, "multiples of 28"),
        ({"clip_side": 28}, "at least 56"),
        ({"objects": [0, 3]}, "fewest"),
        ({"gui_elements": [5, 3]}, "fewest"),
        ({"small_size": [14, 30]}, "leave a gap"),
        ({"clip_fps": 3}, "even"),
        ({"clip_seconds": [1, 4]}, "at least 2 s"),
        ({"clip_objects": [1, 6]}, "give each 14"),
        ({"arithmetic_levels": {"divide": 1.0}}, "divide"),
        ({"arithmetic_levels": {"add": 0.0}}, "positive weight"),
        ({"chinese_share": 1.5}, "less than or equal to 1"),
        ({"piture_sides": [84]}, "Extra inputs"),
    ],
)
def test_refuses_what_cannot_be_drawn(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        WorldConfig(**values)
