"""The nearest valid word."""

from __future__ import annotations

import pytest

from mimovl.suggest import nearest


@pytest.mark.parametrize(
    ("word", "valid", "hint"),
    [
        ("stpes", ["name", "steps"], "; did you mean 'steps'?"),
        ("rbx", ["WBC", "RBC"], "; did you mean 'RBC'?"),
        ("zzz", ["name", "steps"], ""),
        ("x", [], ""),
    ],
)
def test_the_nearest_word_is_suggested_in_its_own_case(word: str, valid: list[str], hint: str) -> None:
    assert nearest(word, valid) == hint
