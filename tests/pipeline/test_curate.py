"""A recipe from its file to its dataset; models made where a step asks; a step of one's own from its file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mimovl.errors import MissingExtraError, RecipeError
from mimovl.pipeline.curate import run_curation
from mimovl.store import Dataset

OWN = """
from typing import Literal
from mimovl.curate.step import Dropped, Step

class Ask(Step):
    '''Keep what the model says yes to.'''
    step: Literal["ask"] = "ask"
    model: str = "judge"

    def open(self, tools):
        from mimovl.types import Request
        judge = tools.generate(self.model)
        def apply(batch):
            answers = judge.generate([Request(sample) for sample in batch])
            return [s if a[0].text == "yes" else Dropped("no") for s, a in zip(batch, answers)]
        return apply

class Judge:
    def __init__(self, word):
        self.word = word
    def generate(self, requests):
        from mimovl.types import Completion
        return [[Completion("yes" if self.word in r.sample.messages[0].text else "no", "stop")] for r in requests]
"""


def recipe(tmp_path: Path, extra: str = "") -> Path:
    (tmp_path / "own.py").write_text(OWN)
    rows = [{"id": f"c{n}", "caption": f"{'dog' if n % 3 else 'cat'} {n}"} for n in range(30)]
    (tmp_path / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "r.yaml").write_text(f"""name: own
read: [{{reader: jsonl, path: {tmp_path}/captions.jsonl}}]
steps: [{{step: "{tmp_path}/own.py:Ask"}}]
models: {{judge: {{load: "{tmp_path}/own.py:Judge", arguments: {{word: dog}}}}}}
{extra}""")
    return tmp_path / "r.yaml"


def test_a_step_of_ones_own_asks_a_model_of_the_recipe_in_any_process(tmp_path: Path) -> None:
    path = recipe(tmp_path)
    for workers in (0, 2):
        outcome = run_curation(path, tmp_path / f"out{workers}", [f"workers={workers}"])
        assert outcome.manifest["steps"][1]["dropped"] == {"no": 10}
    one, two = (Dataset.open(tmp_path / f"out{workers}") for workers in (0, 2))
    assert one.ids == [f"c{n}" for n in range(30) if n % 3]
    assert one.manifest == two.manifest


def test_a_model_that_is_not_named_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no model is named 'jugde'; did you mean 'judge'"):
        run_curation(recipe(tmp_path), tmp_path / "out", ["workers=0", "steps.0.model=jugde"])


def test_ray_is_asked_for_by_the_recipe(tmp_path: Path) -> None:
    try:
        import ray  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtraError, match=r"mimovl\[ray\]"):
            run_curation(recipe(tmp_path, "ray: {workers: 2}"), tmp_path / "out")
