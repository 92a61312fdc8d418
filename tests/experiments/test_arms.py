from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.arms import Arm, Start, ask, train
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
    assert ask(start.checkpoint, [], tmp_path / "a.json", temperature=1.0, max_tokens=8) == whole


def test_a_run_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no .*4-long-context.*mimovl run recipes/tiny\.yaml"):
        Start.of(tmp_path)
