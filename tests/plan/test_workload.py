from __future__ import annotations

import inspect

import pytest
from pydantic import ValidationError

from mimovl.plan import Load, Workload


def test_its_defaults_are_those_of_a_typical_load() -> None:
    options = inspect.signature(Load.typical).parameters
    assert Workload().model_dump() == {name: options[name].default for name in Workload.model_fields}


@pytest.mark.parametrize(
    ("field", "value"),
    [("visual_share", 1.1), ("label_share", -0.1), ("picture_tokens", 0), ("sample_tokens", 0), ("tokens", 1)],
)
def test_impossible_values_and_unknown_keys_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValidationError, match=field):
        Workload.model_validate({field: value})
