from __future__ import annotations

import json
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("torn", [b"", b'{"started": "2026-0', b"\x00\x00\x00", b'{"name": "\xe5\x9c', b"[]"])
def test_a_log_torn_when_the_machine_went_down_is_begun_anew(torn: bytes, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(torn)
    RunLog(tmp_path, Recipe.model_validate(micro.recipe("embedded"))).add_seconds("data", 1.0)
    log = json.loads((tmp_path / "run.json").read_text())
    assert log["seconds"] == {"data": 1.0} and log["name"] == "micro" and log["started"]
