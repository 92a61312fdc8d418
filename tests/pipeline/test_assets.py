import json
from pathlib import Path

import pytest

from mimovl.data import Processor
from mimovl.errors import UsageError
from mimovl.model import load_checkpoint
from mimovl.pipeline.assets import embedded_base
from mimovl.recipe import load_recipe, recipe_hash
from mimovl.types import Message, Part


def test_a_missing_base_is_an_error_that_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="base is missing .* mimovl run recipes/tiny-base.yaml --out runs/tiny-base"):
        embedded_base(tmp_path)


def test_a_base_knows_the_recipe_that_made_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    (tmp_path / "base.json").write_text(json.dumps({"recipe_hash": "abc"}))
    found = embedded_base(tmp_path)
    assert (found.folder, found.recipe_hash) == (tmp_path, "abc")


def test_the_shipped_base_was_made_by_the_recipe_beside_it_and_is_small() -> None:
    base = embedded_base()
    recipe = load_recipe(Path(__file__).parents[2] / "recipes" / "tiny-base.yaml").recipe
    assert base.recipe_hash == recipe_hash(recipe)
    assert sum(file.stat().st_size for file in base.folder.iterdir()) <= 8_000_000


def test_the_shipped_base_loads_with_its_tokenizer_and_template() -> None:
    base = embedded_base()
    model, processor = load_checkpoint(base.folder), Processor.load(base.folder)
    assert len(processor.tokenizer) <= model.config.language.vocab_size
    message = Message("user", (Part("text", "What is 2+2?"),))
    assert processor.encode_prompt([message], {}).num_tokens > 5
