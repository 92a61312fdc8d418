from __future__ import annotations

import pytest
from pydantic import ValidationError

from mimovl.recipe import load_recipe
from mimovl.rl.monitors import MonitorsConfig


def test_every_monitor_can_be_switched_off_by_itself() -> None:
    names = [name for name in MonitorsConfig.model_fields if name not in ("enabled", "window", "again", "examples")]
    assert len(names) == 8
    off = MonitorsConfig.model_validate(dict.fromkeys(names))
    assert all(getattr(off, name) is None for name in names)


def test_an_unknown_monitor_or_threshold_is_refused() -> None:
    for wrong in ({"lenghts": {}}, {"lengths": {"longer": 0.5}}, {"blanked": {"share": 1.5}}):
        with pytest.raises(ValidationError):
            MonitorsConfig.model_validate(wrong)


def test_the_tiny_recipe_states_its_thresholds() -> None:
    recipe = load_recipe("recipes/tiny.yaml").recipe
    assert recipe.rl is not None and recipe.rl.monitors is not None and recipe.rl.monitors.enabled
    assert recipe.rl.monitors.blanked is not None and 0 < recipe.rl.monitors.blanked.share <= 0.05
