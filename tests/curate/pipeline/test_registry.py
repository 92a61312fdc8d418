"""Names of steps and readers: every one is there, says its name, and has a meaning for each field."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from mimovl.curate.pipeline.registry import READERS, STEPS, choice, real
from mimovl.curate.step import Reader, Step, WholeStep
from mimovl.errors import UsageError
from mimovl.load_object import load_object
from mimovl.recipe_schema import undocumented_fields
from tests.curate.pipeline.parts import DropEven

OWN = "tests.curate.pipeline.parts:DropEven"


NAMES = [("step", *entry) for entry in STEPS.items()] + [("reader", *entry) for entry in READERS.items()]


@pytest.mark.parametrize(("key", "name", "place"), NAMES)
def test_every_name_is_a_class_that_says_it_and_documents_its_fields(key: str, name: str, place: str) -> None:
    kind = load_object(place, name)
    assert issubclass(kind, (Step, WholeStep) if key == "step" else Reader)  # type: ignore[arg-type]
    assert kind.model_fields[key].default == name  # type: ignore[attr-defined]
    assert set(undocumented_fields(kind)) <= {f"{kind.__name__}.{key}"}  # type: ignore[arg-type]


def test_an_entry_is_told_by_its_name_and_a_class_of_ones_own_by_its_place() -> None:
    adapter = TypeAdapter(choice("step", ["deduplicate", OWN, "hash_pictures"]))
    known = adapter.validate_python({"step": "hash_pictures", "bits": 256})
    assert known == real(known, "step") and known.bits == 256
    own = real(adapter.validate_python({"step": OWN, "slow": 0.5}), "step")
    assert own == DropEven(slow=0.5) and type(own) is DropEven


def test_what_is_no_name_or_no_step_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown step 'dedupliacte'; did you mean 'deduplicate'"):
        choice("step", ["dedupliacte"])
    with pytest.raises(UsageError, match="it is no class derived from Reader"):
        choice("reader", [OWN])
    with pytest.raises(UsageError, match="no such file"):
        choice("step", [f"{tmp_path}/none.py:X"])
