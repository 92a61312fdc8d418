"""The example of a filter of one's own runs, from Python and from a recipe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from mimovl.pipeline.curate import run_curation

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples" / "add_a_filter.py"


def test_the_example_runs_and_tells_what_became_of_a_caption() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, EXAMPLE], env=environment, capture_output=True, text=True, check=True)
    assert "not_too_short                 3 →          2; dropped: too_short 1" in done.stdout
    assert "dropped, too_short: 2 words, 4 are the least" in done.stdout


def test_a_recipe_names_the_class_by_its_place(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": "w " * n}) + "\n" for n in range(1, 7)))
    (tmp_path / "r.yaml").write_text(
        f"name: x\nworkers: 0\nread: [{{reader: jsonl, path: {tmp_path}/a.jsonl}}]\n"
        f'steps: [{{step: "{EXAMPLE}:NotTooShort", words: 5}}]\n'
    )
    outcome = run_curation(tmp_path / "r.yaml", tmp_path / "out")
    assert outcome.manifest["steps"][1]["dropped"] == {"too_short": 4}
    assert outcome.manifest["steps"][1]["step"] == "not_too_short"
