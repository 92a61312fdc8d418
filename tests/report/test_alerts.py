from __future__ import annotations

from pathlib import Path

from mimovl.report.alerts import AlertRow, build_alerts
from mimovl.report.pictures import Pictures
from mimovl.report.run_directory import read_run
from mimovl.report.write import render
from tests.report.run_directory import write_lines


def rows_of(run_dir: Path) -> list[AlertRow]:
    run = read_run(run_dir)
    assert run.rl is not None
    return build_alerts(run.rl, Pictures(run.datasets), run.notes)


def test_a_failure_is_shown_once_with_its_first_and_last_update_and_its_rollouts(finished_run: Path) -> None:
    [row] = rows_of(finished_run)
    assert (row.title, row.task_name, row.css) == ("Answers without looking", "Counting", "t-counting")
    assert row.when == "updates 7 to 30, 2 times" and (row.value, row.limit) == ("0.94", "0.9")
    assert row.groups and all(group.attempts and group.shown.markup for group in row.groups)


def test_the_page_shows_alerts_with_their_rollouts_and_says_when_there_are_none(own_run: Path) -> None:
    page = render(read_run(own_run))
    assert "94% of the answers stay the same" in page and "Answers without looking, Counting: sample rollouts" in page
    assert "Prompts that teach" in page and "Held-out reward" in page
    (own_run / "5-morl" / "alerts.jsonl").unlink()
    assert "No monitor has given an alert." in render(read_run(own_run))


def test_what_was_written_by_a_model_is_escaped_and_nonsense_is_passed_over(tmp_path: Path) -> None:
    group = {"task": "ocr", "prompt": "?", "completions": [{"text": "<script>", "reward": 1, "advantage": 0}]}
    lines = [
        {"step": 2, "monitor": "language", "task": "ocr", "message": "<b>mixed</b>", "groups": [group, 3, {}]},
        {"step": "x", "monitor": None, "groups": 5},
        {"monitor": "unheard-of", "task": 7, "message": None, "value": "high"},
    ]
    write_lines(tmp_path / "1-morl" / "alerts.jsonl", lines)
    write_lines(tmp_path / "1-morl" / "rollouts.jsonl", [group])
    write_lines(tmp_path / "1-morl" / "metrics.jsonl", [{"step": 1, "reward": 0.5}])
    rows = rows_of(tmp_path)
    assert [row.title for row in rows][:1] == ["Mixed languages"] and len(rows) == 3
    assert len(rows[0].groups) == 1
    page = render(read_run(tmp_path))
    assert "<b>mixed" not in page and "&lt;b&gt;mixed" in page


def test_two_failures_of_one_monitor_are_two_rows(tmp_path: Path) -> None:
    said = [{"step": n, "monitor": "lengths", "kind": kind, "task": "ocr", "message": kind} for n, kind in
            enumerate(("cut", "longer", "cut"), start=1)]  # fmt: skip
    write_lines(tmp_path / "1-morl" / "alerts.jsonl", said)
    write_lines(tmp_path / "1-morl" / "metrics.jsonl", [{"step": 1, "reward": 0.5}])
    assert [(row.message, row.when) for row in rows_of(tmp_path)] == [
        ("cut", "updates 1 to 3, 2 times"),
        ("longer", "update 2"),
    ]
