"""A recipe's own functions are found, or the error says what is wrong with the name."""

from __future__ import annotations

import json

import pytest

from mimovl.curate.interleaved.plugins import load_plugin
from mimovl.errors import RecipeError


def test_a_function_is_found_by_name() -> None:
    assert load_plugin("json:dumps", field="unsafe") is json.dumps


@pytest.mark.parametrize(
    ("name", "said"),
    [("json", "write package.module:function"), ("no_such_module:f", "cannot import"), ("json:nothing", "no function")],
)
def test_a_wrong_name_says_what_is_wrong(name: str, said: str) -> None:
    with pytest.raises(RecipeError, match=f"unsafe: .*{said}"):
        load_plugin(name, field="unsafe")
