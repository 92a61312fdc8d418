from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from experiments.arms import Arm, Start, arguments, ask, run, selected, train
from experiments.interference import run as interference
from experiments.on_policy_vs_vanilla import run as on_policy
from mimovl.errors import UsageError
from mimovl.store import DatasetWriter
from tests import tiny


@pytest.fixture
def start(tiny_trained: Path, tmp_path: Path) -> Start:
    for name in ("prompts", "heldout"):
        with DatasetWriter(tmp_path / "data" / name) as writer:
            for sample in tiny.questions("world/counting", 6):
                writer.add(sample)
    return Start(tiny_trained, tmp_path / "data" / "prompts", tmp_path / "data" / "heldout")


COMMON = {
    "tasks": {"counting": 1},
    "groups": 4,
    "samples": 4,
    "steps": 2,
    "max_tokens": 8,
    "dynamic_sampling": False,
    "train": ["language"],
    "learning_rate": {"language": 1e-3},
    "logged_groups": 9,
}


def prompts(folder: Path) -> list[str]:
    return [json.loads(line)["sample_id"] for line in (folder / "rollouts.jsonl").read_text().splitlines()]


def test_arms_of_one_seed_draw_the_same_prompts_and_are_trained_once(start: Start, tmp_path: Path) -> None:
    one, other = Arm("one", "one"), Arm("other", "other", {"vanilla": {"updates": 2}})
    out = tmp_path / "out"
    lines = train(one, COMMON, 0, start, out)
    assert [line["groups_sampled"] for line in lines] == [4, 4]
    train(other, COMMON, 0, start, out)
    assert prompts(out / "one" / "seed-0") == prompts(out / "other" / "seed-0")
    before = (out / "one" / "seed-0" / "model" / "model.safetensors").stat().st_mtime_ns
    assert train(one, COMMON, 0, start, out) == lines
    assert (out / "one" / "seed-0" / "model" / "model.safetensors").stat().st_mtime_ns == before


def test_a_question_has_the_same_draws_whatever_is_asked_beside_it(start: Start, tmp_path: Path) -> None:
    questions = tiny.questions("world/counting", 6)
    whole = ask(start.checkpoint, questions, tmp_path / "a.json", temperature=1.0, max_tokens=8)
    part = ask(start.checkpoint, questions[3:], tmp_path / "b.json", temperature=1.0, max_tokens=8)
    assert part == whole[3:] and set(whole[0]) == {"id", "task", "reward", "length"}
    written = (tmp_path / "a.json").stat().st_mtime_ns
    assert ask(start.checkpoint, questions, tmp_path / "a.json", temperature=1.0, max_tokens=8) == whole
    assert (tmp_path / "a.json").stat().st_mtime_ns == written


def test_a_run_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no .*4-long-context.*mimovl run recipes/tiny\.yaml"):
        Start.of(tmp_path)


def test_a_training_is_not_taken_for_one_of_other_settings(start: Start, tmp_path: Path) -> None:
    arm, out = Arm("one", "one"), tmp_path / "out"
    lines = train(arm, {**COMMON, "steps": 1}, 0, start, out)
    with pytest.raises(UsageError, match=r"seed-0/metrics\.jsonl was made with steps 1, and 2 is .*another --out"):
        train(arm, COMMON, 0, start, out)
    assert train(arm, {**COMMON, "steps": 1}, 0, start, out) == lines
    other = tmp_path / "other"
    shutil.copytree(start.checkpoint, other)
    save_file({"x": torch.zeros(1)}, other / "model.safetensors")
    with pytest.raises(UsageError, match="was made with checkpoint"):
        train(arm, {**COMMON, "steps": 1}, 0, replace(start, checkpoint=other), out)


def test_answers_are_not_taken_for_those_to_other_questions(start: Start, tmp_path: Path) -> None:
    questions = tiny.questions("world/counting", 4)
    ask(start.checkpoint, questions[:2], tmp_path / "a.json", temperature=1.0, max_tokens=8)
    with pytest.raises(UsageError, match=r"a\.json was made with number of questions 2, and 4 is asked for"):
        ask(start.checkpoint, questions, tmp_path / "a.json", temperature=1.0, max_tokens=8)
    with pytest.raises(UsageError, match="was made with questions"):
        ask(start.checkpoint, questions[2:], tmp_path / "a.json", temperature=1.0, max_tokens=8)


@pytest.mark.parametrize("wrong", [["--seeds", "0"], ["--steps", "-1"], ["--questions", "0"], ["--only"]])
def test_arguments_that_make_no_experiment_are_refused(wrong: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        arguments("An experiment.", Path("runs"), steps=60).parse_args(wrong)
    assert stop.value.code == 2 and f"argument {wrong[0]}" in capsys.readouterr().err


def test_an_unknown_arm_is_refused_and_named() -> None:
    arms = [Arm("one", "one"), Arm("other", "other")]
    assert selected(arms, None) == arms and selected(arms, ["other"]) == arms[1:]
    with pytest.raises(UsageError, match="--only names third; there are one, other"):
        selected(arms, ["one", "third"])


@pytest.mark.parametrize("module", [interference, on_policy])
def test_a_users_mistake_is_one_line_without_a_traceback(module, tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        run(lambda: module.main(["--run", str(tmp_path / "none"), "--out", str(tmp_path / "out")]))
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said.startswith("error: there is no ") and said.count("\n") == 1
