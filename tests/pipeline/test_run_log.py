from __future__ import annotations

import json
from pathlib import Path

from mimovl.pipeline.run_log import RunLog
from mimovl.recipe import Recipe
from tests.pipeline import micro


def test_times_add_up_over_resumed_runs_and_the_first_end_stays(tmp_path: Path) -> None:
    recipe = Recipe.model_validate(micro.recipe("embedded"))
    first = RunLog(tmp_path, recipe)
    first.add_seconds("1-projector", 1.5)
    first.finish(100.0)
    ended = json.loads((tmp_path / "run.json").read_text())
    again = RunLog(tmp_path, recipe)
    again.add_seconds("1-projector", 2.0)
    again.finish(50.0)
    log = json.loads((tmp_path / "run.json").read_text())
    assert log["seconds"] == {"1-projector": 3.5} and log["peak_memory_mb"] == 100.0
    assert (log["started"], log["finished"]) == (ended["started"], ended["finished"])
    assert log["name"] == "micro" and log["machine"]["cores"] >= 1
