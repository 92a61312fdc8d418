"""A recipe from its file to its dataset; models made where a step asks; a step of one's own from its file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mimovl.errors import MissingExtraError, RecipeError
from mimovl.pipeline.curate import run_curation
from mimovl.store import Dataset

ROOT = Path(__file__).parent.parent.parent
MANUALS = Path(os.environ.get("MIMOVL_MANUALS", ROOT / "build" / "debian" / "usr" / "share"))
PHOTOS = Path(os.environ.get("MIMOVL_BCCD", ROOT.parent / "shared" / "data" / "bccd"))

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


def test_urls_are_asked_for_only_where_the_command_allows_it(tmp_path: Path) -> None:
    row = {"caption": "x", "image": "http://127.0.0.1:9/a.png"}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "r.yaml").write_text(f"name: x\nread: [{{reader: jsonl, path: {tmp_path}/a.jsonl}}]\n")
    for workers in (0, 1):
        shut = run_curation(tmp_path / "r.yaml", tmp_path / f"shut{workers}", [f"workers={workers}"])
        assert shut.manifest["counts"]["dropped"] == {"network_off": 1}
        out = tmp_path / f"open{workers}"
        opened = run_curation(tmp_path / "r.yaml", out, [f"workers={workers}"], allow_network=True)
        assert opened.manifest["counts"]["dropped"] == {"private_address": 1}


@pytest.mark.skipif(not PHOTOS.is_dir(), reason=f"the 304 microscope photos are not at {PHOTOS}; set MIMOVL_BCCD")
def test_the_shipped_recipe_runs_on_real_photos(tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    for name in ("BloodImage_00001", "BloodImage_00007"):
        (copies / f"again-{name}.jpg").write_bytes((PHOTOS / "images" / f"{name}.jpg").read_bytes() + b" ")
        (copies / f"again-{name}.xml").write_bytes((PHOTOS / "annotations" / f"{name}.xml").read_bytes())
    (copies / "torn.jpg").write_bytes((PHOTOS / "images" / "BloodImage_00002.jpg").read_bytes()[:999])
    (copies / "torn.xml").write_bytes((PHOTOS / "annotations" / "BloodImage_00002.xml").read_bytes())
    recipe = (ROOT / "recipes" / "curate-bccd.yaml").read_text()
    recipe = recipe.replace("photos/, source: bccd}", f"{PHOTOS}, source: bccd}}\n  - {{reader: voc, path: {copies}}}")
    (tmp_path / "r.yaml").write_text(recipe)
    outcome = run_curation(tmp_path / "r.yaml", tmp_path / "out", ["workers=0"])
    rows = {row["step"]: row for row in outcome.manifest["steps"]}
    assert rows["read"]["seen"] == 307 and sum(rows["read"]["dropped"].values()) == 1
    assert rows["deduplicate"]["dropped"] == {"near_duplicate": 2}
    assert outcome.manifest["counts"]["kept"] >= 304 and {"counting", "grounding"} <= set(
        outcome.manifest["counts"]["by_task"]
    )


@pytest.mark.skipif(not MANUALS.is_dir(), reason=f"Debian's manuals are not at {MANUALS}; make test looks for them")
def test_the_shipped_recipe_runs_on_real_manuals(tmp_path: Path) -> None:
    """Policy, reference and questions of Debian: PDF, HTML and EPUB, English and Chinese."""
    shares = [f"read.{number}.path={MANUALS}" for number in range(3)]
    outcome = run_curation(ROOT / "recipes" / "curate-documents.yaml", tmp_path / "out", shares)
    counts, steps = outcome.manifest["counts"], outcome.manifest["steps"]
    for row in steps:
        assert row["seen"] + row["made"] == row["passed"] + sum(row["dropped"].values())
    assert {"html", "pdf", "epub"} <= set(counts["by_source"]) and counts["kept"] > 100
    assert counts["by_language"]["zh"] > 5 and counts["media"] > 5
    words = " ".join(sample.messages[-1].text for sample in Dataset.open(tmp_path / "out"))
    assert "Debian" in words and "软件包" in words


def test_the_caption_steps_run_by_their_names_and_keep_the_same_whatever_the_chunks(tmp_path: Path) -> None:
    texts = [f"an old bridge over river number {n}" for n in range(40)] + ["click here to see all of our things"] * 20
    texts += ["there is a thing. " * 20, "IMG_0001.jpg", "这是一座很老的桥，桥下有一条河"]
    rows = [json.dumps({"id": f"c{n}", "caption": text}, ensure_ascii=False) for n, text in enumerate(texts)]
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    (tmp_path / "r.yaml").write_text(
        f"name: x\nworkers: 0\nread: [{{reader: jsonl, path: {tmp_path}/a.jsonl, unit_bytes: 500}}]\n"
        "steps:\n  - {step: caption_text}\n  - {step: text_duplicates, copies: 3, likeness: 1}\n"
        "  - {step: caption_language}\n  - {step: caption_repetition}\n"
    )
    found = []
    for number, limits in enumerate(([], ["limits.task_items=1", "limits.chunk_items=7"])):
        outcome = run_curation(tmp_path / "r.yaml", tmp_path / str(number), limits)
        assert outcome.manifest["steps"][2]["dropped"] == {"text_duplicate": 17}
        found.append(Dataset.open(tmp_path / str(number)).ids)
    assert found[0] == found[1] and 40 <= len(found[0]) <= 44
