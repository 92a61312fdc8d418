"""Tools: a model is made once, when it is asked for; a name that is none is said with those there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from mimovl.curate.pipeline.tools import PlainTools
from mimovl.errors import RecipeError


class Silent:
    def generate(self, requests: object) -> list[object]:
        return []


def test_a_model_is_made_once_and_the_cache_when_asked_for(tmp_path: Path) -> None:
    made: list[Silent] = []

    def make() -> Silent:
        made.append(Silent())
        return made[-1]

    tools = PlainTools(tmp_path / "cache", 7, {"captioner": make})  # type: ignore[dict-item]
    assert not made and not (tmp_path / "cache").exists() and tools.seed == 7
    assert tools.generate("captioner") is tools.generate("captioner") is made[0] and len(made) == 1
    assert tools.cache.is_dir()
    with pytest.raises(RecipeError, match="no model is named 'captoiner'; did you mean 'captioner'"):
        tools.generate("captoiner")
    with pytest.raises(RecipeError, match="there is: none"):
        PlainTools(tmp_path).generate("x")
