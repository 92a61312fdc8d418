from __future__ import annotations

from pathlib import Path

from mimovl.report.pictures import Pictures
from mimovl.report.rollouts import Group, build_groups
from mimovl.report.run_directory import read_run
from tests.report.run_directory import write_lines


def groups_of(run_dir: Path) -> list[Group]:
    run = read_run(run_dir)
    assert run.rl is not None
    return build_groups(run.rl, Pictures(run.datasets), run.notes)


def test_each_task_is_shown_early_and_late_with_its_picture(finished_run: Path) -> None:
    groups = groups_of(finished_run)
    assert {group.when for group in groups} == {"early", "late"}
    assert len({(group.task_name, group.when) for group in groups}) == len(groups)
    counting = [group for group in groups if group.task_name == "Counting"]
    assert all(group.shown.markup for group in counting)
    assert all(int(group.step) <= 10 for group in groups if group.when == "early")
    assert all(int(group.step) >= 20 for group in groups if group.when == "late")


def test_completions_stand_best_first_with_reward_and_advantage(finished_run: Path) -> None:
    for group in groups_of(finished_run):
        rewards = [float(attempt.reward) for attempt in group.attempts]
        assert rewards == sorted(rewards, reverse=True)
        assert len(rewards) == 8 and group.hidden == 0
        assert all(-1 <= attempt.bar <= 1 for attempt in group.attempts)


def test_of_many_completions_the_best_and_the_worst_are_shown(tmp_path: Path) -> None:
    completions = [{"text": str(index), "reward": index / 31, "advantage": index - 15.5} for index in range(32)]
    line = {"step": 1, "task": "counting", "prompt": "How many? /no_think", "completions": completions}
    write_lines(tmp_path / "1-morl" / "rollouts.jsonl", [line])
    (group,) = [group for group in groups_of(tmp_path) if group.when == "late"]
    assert [group.attempts[0].answer, group.attempts[-1].answer, group.hidden] == ["31", "0", 24]
    assert (group.prompt, group.mode) == ("How many?", "not thinking")


def test_groups_of_nonsense_are_passed_over(tmp_path: Path) -> None:
    lines = [{"completions": 3}, {"task": 4, "completions": [{}, 5]}, {"completions": [{"text": None, "reward": "x"}]}]
    write_lines(tmp_path / "1-morl" / "rollouts.jsonl", lines)
    groups = groups_of(tmp_path)
    assert all(group.attempts[0].answer == "" for group in groups)


def test_a_long_file_is_sampled_not_read_whole(tmp_path: Path) -> None:
    line = {"task": "ocr", "prompt": "?", "completions": [{"text": "a", "reward": 1, "advantage": 0}]}
    write_lines(tmp_path / "1-morl" / "rollouts.jsonl", [{**line, "step": step} for step in range(5_000)])
    assert len(groups_of(tmp_path)) == 2
