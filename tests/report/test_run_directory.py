from __future__ import annotations

import json
from pathlib import Path

import pytest

from mimovl.errors import UsageError
from mimovl.report.run_directory import read_lines, read_run, sample_lines
from tests.report.run_directory import write_lines


def test_a_finished_run_is_read_whole(finished_run: Path) -> None:
    run = read_run(finished_run)
    assert [stage.name for stage in run.training] == ["1-projector", "2-vision", "3-everything", "4-long-context"]
    assert run.rl is not None and run.rl.name == "5-morl"
    assert [checkpoint.name for checkpoint in run.checkpoints][-1] == "5-morl"
    assert run.finished and not run.notes
    assert run.rl.steps_done == run.rl.steps_planned == 30


def test_a_missing_folder_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run directory at"):
        read_run(tmp_path / "nowhere")


def test_an_empty_folder_is_a_run_without_anything(tmp_path: Path) -> None:
    run = read_run(tmp_path)
    assert not run.stages and not run.checkpoints and not run.finished and not run.notes


def test_a_torn_last_line_is_passed_over_in_silence(tmp_path: Path) -> None:
    notes: list[str] = []
    (tmp_path / "metrics.jsonl").write_bytes(b'{"step": 1}\n{"step": 2}\n{"st')
    assert [line["step"] for line in read_lines(tmp_path / "metrics.jsonl", notes)] == [1, 2]
    assert notes == []


def test_a_damaged_line_is_noted(tmp_path: Path) -> None:
    notes: list[str] = []
    (tmp_path / "metrics.jsonl").write_bytes(b'{"step": 1}\n\xff\xfe{{\n[1]\n{"step": 3}\n')
    assert [line["step"] for line in read_lines(tmp_path / "metrics.jsonl", notes)] == [1, 3]
    assert notes == [f"{tmp_path.name}/metrics.jsonl has 1 unreadable line(s); the others are shown."]


def test_a_step_written_again_after_a_kill_counts_once_and_last(tmp_path: Path) -> None:
    write_lines(tmp_path / "1-a" / "metrics.jsonl", [{"step": s, "loss": loss} for s, loss in ((1, 9), (2, 8), (2, 7))])
    (stage,) = read_run(tmp_path).stages
    assert [line["loss"] for line in stage.metrics] == [9, 7]


def test_unreadable_json_is_noted_and_left_out(own_run: Path) -> None:
    (own_run / "run.json").write_text("{")
    (own_run / "evaluate" / "5-morl" / "scores.json").write_text("[1, 2]")
    run = read_run(own_run)
    assert run.info == {} and run.checkpoints[-1].scores == {}
    assert run.notes == ["tiny/run.json is not readable JSON and was left out."]


def test_folders_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("10-last", "2-second", "1-first", "data", "evaluate", ".hidden"):
        (tmp_path / name).mkdir()
    assert [stage.name for stage in read_run(tmp_path).stages] == ["1-first", "2-second", "10-last"]


def test_a_sample_of_lines_is_uniform_and_repeatable(tmp_path: Path) -> None:
    write_lines(tmp_path / "r.jsonl", [{"step": step} for step in range(1000)])
    kept = [line["step"] for line in sample_lines(tmp_path / "r.jsonl", 200, [])]
    assert kept == [line["step"] for line in sample_lines(tmp_path / "r.jsonl", 200, [])] == sorted(set(kept))
    assert len(kept) == 200 and 400 < sum(kept) / 200 < 600


def test_imported_datasets_are_looked_at_too(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("data:\n  imported: datasets/bccd\n")
    assert Path("datasets/bccd/heldout") in read_run(tmp_path).datasets
    (tmp_path / "recipe.yaml").write_text("data: [")
    assert len(read_run(tmp_path).datasets) == 3


def test_base_parts_are_read_where_a_run_makes_them(tmp_path: Path) -> None:
    write_lines(tmp_path / "base" / "vision" / "metrics.jsonl", [{"step": 1, "loss": 2.0}])
    assert [part.name for part in read_run(tmp_path).base] == ["vision"]


def test_numbers_that_json_lacks_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "1-a").mkdir()
    (tmp_path / "1-a" / "metrics.jsonl").write_text(json.dumps({"step": 1, "loss": float("nan")}) + "\n")
    assert read_run(tmp_path).stages[0].steps_done == 1
