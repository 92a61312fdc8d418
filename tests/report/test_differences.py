from __future__ import annotations

import shutil
from pathlib import Path

from mimovl.report.differences import compare, differences
from mimovl.report.run_directory import read_run
from mimovl.report.scores import score_table, verdict_sentence


def test_every_task_is_compared_in_both_modes(finished_run: Path) -> None:
    checkpoints = read_run(finished_run).checkpoints
    before, after = checkpoints[-2], checkpoints[-1]
    comparison = compare(before, after, [])
    assert comparison is not None
    table = differences(before, after, comparison)
    assert table.title == "MORL minus stage 4"
    assert table.rows[0].total and table.rows[0].detail == "96 pairs, each task in its headline mode"
    assert len(table.rows) == 13 and table.num_unpaired == 0
    for row in table.rows[1:]:
        assert [mark.kind for mark in row.marks] == ["before", "after"]
        assert sum(mode.headline for mode in row.modes) == 1
    assert any(label == "0.0" or label == "0" for _, label in table.ticks)


def test_sampled_answers_have_a_row_of_their_own_above_the_greedy_ones(own_run: Path) -> None:
    for name in ("4-long-context", "5-morl"):
        folder = own_run / "evaluate" / name
        shutil.copytree(folder, folder / "sampled")
        (folder / "sampled" / "summary.json").write_text('{"temperature": 1.0}')
    before, after = read_run(own_run).checkpoints[-2:]
    comparison = compare(before, after, [])
    assert comparison is not None
    rows = differences(before, after, comparison).rows
    assert [row.name for row in rows[:2]] == ["Mean reward, sampled", "Mean reward, greedy"] and len(rows) == 14
    assert rows[0].detail == "192 pairs at temperature 1, both modes: what MORL maximises"
    table = score_table(before, after, comparison)
    assert [row.name for row in table.rows[:2]] == ["Mean reward, sampled", "Mean reward"] and len(table.rows) == 14
    text = "".join(piece for piece, _ in verdict_sentence(before, after, comparison))
    assert (
        "of answers sampled at temperature 1 to held-out questions over stage 4" in text and "Greedy scores: " in text
    )


def test_all_intervals_lie_on_the_axis(finished_run: Path) -> None:
    checkpoints = read_run(finished_run).checkpoints
    comparison = compare(checkpoints[0], checkpoints[-1], [])
    assert comparison is not None
    table = differences(checkpoints[0], checkpoints[-1], comparison)
    for row in table.rows:
        for mark in row.marks:
            assert 0 <= float(mark.low) <= float(mark.at) <= float(mark.low) + float(mark.width) + 0.01 <= 100.02
    assert 0 <= float(table.zero) <= 100


def test_further_measures_have_their_own_units(finished_run: Path) -> None:
    checkpoints = read_run(finished_run).checkpoints
    comparison = compare(checkpoints[-2], checkpoints[-1], [])
    assert comparison is not None
    measures = {measure.name: measure for measure in differences(*checkpoints[-2:], comparison).measures}
    assert "%" not in measures["Counting: mean absolute error"].now
    assert "%" in measures["Grounding: recall@0.5"].now


def test_missing_answers_are_no_comparison_and_no_complaint(own_run: Path) -> None:
    (own_run / "evaluate" / "5-morl" / "answers.jsonl").unlink()
    notes: list[str] = []
    before, after = read_run(own_run).checkpoints[-2:]
    assert compare(before, after, notes) is None and compare(None, after, notes) is None
    assert notes == []


def test_answers_that_cannot_be_compared_are_noted(own_run: Path) -> None:
    (own_run / "evaluate" / "5-morl" / "answers.jsonl").write_text('{"id": 1}\n')
    notes: list[str] = []
    assert compare(*read_run(own_run).checkpoints[-2:], notes) is None
    assert len(notes) == 1 and notes[0].startswith("4-long-context and 5-morl cannot be compared:")
