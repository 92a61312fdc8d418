import json
from pathlib import Path

import pytest

from mimovl.errors import UsageError
from mimovl.pipeline.assets import embedded_base


def test_a_missing_base_is_an_error_that_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="base is missing .* mimovl run recipes/tiny-base.yaml --out runs/tiny-base"):
        embedded_base(tmp_path)


def test_a_base_knows_the_recipe_that_made_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    (tmp_path / "base.json").write_text(json.dumps({"recipe_hash": "abc"}))
    found = embedded_base(tmp_path)
    assert (found.folder, found.recipe_hash) == (tmp_path, "abc")
