from __future__ import annotations

from pathlib import Path

from mimovl.report.checkpoints import all_scores, mode_rows, panel_label, score_panels
from mimovl.report.run_directory import Checkpoint, read_run


def test_each_task_has_a_panel_after_the_mean_reward(finished_run: Path) -> None:
    panels = score_panels(read_run(finished_run).checkpoints)
    assert [panel.title for panel in panels[:3]] == ["Mean reward", "Captions", "Attributes"]
    assert len(panels) == 13
    assert panels[1].chart.count("<g class=") == 10


def test_a_checkpoint_that_lacks_a_task_leaves_a_gap() -> None:
    mode = {"score": 0.5, "interval": [0.4, 0.6], "n": 9}
    first = Checkpoint("1-a", Path("a"), {"ocr": {"no_think": mode}}, {})
    last = Checkpoint("2-b", Path("b"), {"text": {"thinking": mode}}, {})
    assert [panel.title for panel in score_panels([first, last])] == ["Reading text", "Text"]
    rows = all_scores([first, last]).rows
    assert rows[1] == ("Reading text", "not thinking", [("50.0", "40.0–60.0"), ("–", "")])


def test_the_ends_of_all_answers_are_counted(finished_run: Path) -> None:
    rows = mode_rows(read_run(finished_run).checkpoints[0])
    assert len(rows) == 12
    for row in rows:
        assert [mode.headline for mode in row.modes].count(True) == 1
        for mode in row.modes:
            assert abs(sum(float(share) for _, share in mode.outcomes) - 100) < 0.1
    assert any("cut off" in mode.ends for row in rows for mode in row.modes)


def test_labels_are_short() -> None:
    assert [panel_label(name) for name in ("4-long-context", "5-morl", "0-base")] == ["4", "MORL", "Base"]


def test_no_checkpoints_are_no_panels() -> None:
    assert score_panels([]) == [] and all_scores([]).rows == []
