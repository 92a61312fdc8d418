"""The base class of recipe sections."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tests.recipe_models import Optimizer


def test_a_section_refuses_unknown_keys_and_infinities_and_is_frozen() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        Optimizer.model_validate({"rate": 1.0})
    with pytest.raises(ValidationError, match="finite"):
        Optimizer(learning_rate=float("inf"))
    with pytest.raises(ValidationError, match="frozen"):
        Optimizer().learning_rate = 2.0


def test_the_text_under_a_field_is_its_meaning() -> None:
    assert Optimizer.model_fields["betas"].description == "Decay of the two moments."
