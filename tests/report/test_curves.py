from __future__ import annotations

from pathlib import Path

import pytest

from mimovl.report.curves import GAP_LIMITS, rl_curves, training_curves
from mimovl.report.run_directory import read_run
from mimovl.rl.monitors import health
from tests.report.run_directory import write_lines


def test_training_shows_loss_by_stage_and_by_source_and_speed(finished_run: Path) -> None:
    curves = training_curves(read_run(finished_run))
    assert curves is not None
    assert [figure.title for figure in curves.loss][0] == "Stage 1: projector"
    assert len(curves.loss) == 4 and len(curves.by_source) == 11
    assert [figure.title for figure in curves.speed][:3] == ["Tokens per second", "MFU", "Gradient norm"]
    assert curves.summary.startswith("300 steps over ")


def test_utilisation_says_of_which_peak_and_norms_are_drawn_for_each_part_that_learns(finished_run: Path) -> None:
    curves = training_curves(read_run(finished_run))
    assert curves is not None
    mfu = next(figure for figure in curves.speed if figure.title == "MFU")
    assert mfu.caption == "of 0.126 TFLOP/s, measured"
    parts = [f"Gradient norm: {part}" for part in ("vision", "projector", "language")]
    assert [figure.title for figure in curves.speed][3:] == parts
    pieces = [figure.chart.count('class="curve t-stage"') for figure in curves.speed[3:]]
    assert pieces == [3, 4, 2]  # stages in which each learns


def test_one_part_alone_has_no_chart_of_its_own_nor_has_a_run_that_tells_no_utilisation(tmp_path: Path) -> None:
    lines = [{"step": step, "loss": 1.0, "grad_norm": 2.0, "grad_norm_by_part": {"projector": 2.0}} for step in (1, 2)]
    write_lines(tmp_path / "1-projector" / "metrics.jsonl", lines)
    curves = training_curves(read_run(tmp_path))
    assert curves is not None and [figure.title for figure in curves.speed] == ["Gradient norm"]


def test_a_source_keeps_its_colour_and_its_place_over_all_stages(finished_run: Path) -> None:
    curves = training_curves(read_run(finished_run))
    assert curves is not None
    gui = next(figure for figure in curves.by_source if figure.title == "GUI")
    assert gui.css == "t-gui_point"
    assert gui.chart.count('class="curve t-gui_point"') == 4


def test_reinforcement_learning_shows_the_gap_with_its_limit(finished_run: Path) -> None:
    curves = rl_curves(read_run(finished_run))
    assert curves is not None
    gap = next(figure for figure in curves.overview if figure.title == "Log-probability gap")
    assert 'class="reference"' in gap.chart and 'data-y="1e-08,1e-05,log"' in gap.chart
    assert "under the limit of 1e−5" in curves.summary
    assert curves.largest_gap is not None and curves.largest_gap < 1e-5
    assert len(curves.reward) == len(curves.length) == 6


def test_a_gap_over_the_limit_is_said_plainly(tmp_path: Path) -> None:
    write_lines(tmp_path / "1-morl" / "metrics.jsonl", [{"step": 1, "reward": 0.5, "logprob_gap": 2e-3}])
    curves = rl_curves(read_run(tmp_path))
    assert curves is not None and "over the limit of 1e−5" in curves.summary


@pytest.mark.parametrize(
    ("rl", "side", "limit"),
    [
        ("{parallel: {dtype: bfloat16, parameter_dtype: bfloat16}}", "under", "0.005"),
        ("{monitors: {gap: {limit: 0.001}}}", "over", "0.001"),
        ("{monitors: {gap: {limit: null}}}", "over", "1e−5"),
        ("{monitors: null, parallel: 3}", "over", "1e−5"),
    ],
)
def test_the_limit_of_the_gap_is_the_recipes_or_that_of_the_policys_numbers(
    tmp_path: Path, rl: str, side: str, limit: str
) -> None:
    (tmp_path / "recipe.yaml").write_text(f"rl: {rl}\n")
    lines = [{"step": step, "reward": 0.5, "logprob_gap": 3e-3} for step in (1, 2)]
    write_lines(tmp_path / "1-morl" / "metrics.jsonl", lines)
    curves = rl_curves(read_run(tmp_path))
    assert curves is not None and f"was 0.003, {side} the limit of {limit}." in curves.summary


def test_the_limits_are_those_of_the_monitor() -> None:
    assert GAP_LIMITS.items() <= health.GAP_LIMITS.items()


def test_before_the_first_step_there_are_no_curves(tmp_path: Path) -> None:
    run = read_run(tmp_path)
    assert training_curves(run) is None and rl_curves(run) is None


def test_lines_that_lack_fields_or_hold_nonsense_are_passed_over(tmp_path: Path) -> None:
    lines = [{"step": 1}, {"step": 2, "loss": "x", "loss_by_source": 3}, {"step": 3, "loss": float("inf")}, {"loss": 1}]
    write_lines(tmp_path / "1-a" / "metrics.jsonl", lines)
    write_lines(tmp_path / "2-morl" / "metrics.jsonl", [{"step": 1, "reward_by_task": [], "groups_sampled": 0}])
    curves = training_curves(read_run(tmp_path))
    assert curves is not None and len(curves.loss) == 1
    assert rl_curves(read_run(tmp_path)) is not None


def test_base_parts_show_their_loss_and_what_the_tower_tells(tmp_path: Path) -> None:
    lines = [{"step": step, "loss": 2 / step, "accuracy": {"shape": 0.1 * step}} for step in range(1, 9)]
    write_lines(tmp_path / "base" / "vision" / "metrics.jsonl", lines)
    curves = training_curves(read_run(tmp_path))
    assert curves is not None
    assert [figure.title for figure in curves.base] == ["Vision: loss", "Vision: shape"]
