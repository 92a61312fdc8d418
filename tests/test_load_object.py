"""Importing what a recipe names."""

from __future__ import annotations

from pathlib import Path

import pytest

from mimovl.errors import UsageError
from mimovl.load_object import load_object


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("haiku", "functions.x: write 'haiku' as package.module:function or file.py:function"),
        ("no.such.module:f", r"functions.x: no.such.module cannot be imported \(ModuleNotFoundError"),
        ("{folder}/none.py:f", "functions.x: no such file .*none.py"),
        ("{folder}/broken.py:f", r"functions.x: .*broken.py cannot be imported \(SyntaxError"),
        ("mimovl.suggest:naerest", "mimovl.suggest has no function 'naerest'; did you mean 'nearest'"),
    ],
)
def test_what_cannot_be_loaded_is_named_with_its_field(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "broken.py").write_text("def (\n")
    with pytest.raises(UsageError, match=message):
        load_object(name.format(folder=tmp_path), "functions.x")
