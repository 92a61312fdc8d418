from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mimovl.cli import app
from mimovl.curate.world import build_item, to_questions
from mimovl.data import Processor
from mimovl.errors import CheckpointError, UsageError
from mimovl.evaluate import WORLD_TASKS
from mimovl.generate import Engine
from mimovl.model import load_checkpoint
from mimovl.pipeline import evaluate as pipeline_evaluate
from mimovl.pipeline.config import EvaluateConfig
from mimovl.pipeline.evaluate import (
    HELDOUT_ITEMS,
    checkpoint_fingerprint,
    evaluate_checkpoint,
    evaluate_step,
    is_evaluated,
)
from mimovl.store import DatasetWriter
from tests import tiny
from tests.pipeline import micro


@pytest.fixture(scope="module")
def heldout(tmp_path_factory) -> Path:
    """Five questions about counting and three about arithmetic."""
    folder = tmp_path_factory.mktemp("heldout") / "d"
    with DatasetWriter(folder) as writer:
        for question in (*tiny.questions("world/counting", 5), *tiny.questions("world/arithmetic", 3)):
            writer.add(question)
    return folder


def tree(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


# ---------------------------------------------------------------- mimovl evaluate


def test_the_command_scores_every_task_of_the_world(tiny_trained: Path, tmp_path: Path, monkeypatch) -> None:
    """As ``mimovl evaluate CKPT --out DIR --limit 3``, with fewer held-out items to draw from."""
    monkeypatch.setattr(pipeline_evaluate, "HELDOUT_ITEMS", dict.fromkeys(HELDOUT_ITEMS, 9))
    arguments = ["evaluate", str(tiny_trained), "--out", str(tmp_path / "scores"), "--limit", "3"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    scores = json.loads((tmp_path / "scores" / "scores.json").read_text())
    assert [*scores] == [task.name for task in WORLD_TASKS]
    for task, entry in scores.items():
        assert {"score", "interval", "n", "metric", "mode", "thinking", "no_think"} <= set(entry)
        assert entry["n"] == 3 and entry["mode"] in ("thinking", "no_think")
        for part in (entry, entry["thinking"], entry["no_think"]):
            low, high = part["interval"]
            assert 0 <= low <= part["score"] <= high <= 1 and part["n"] == 3
        for mode in ("thinking", "no_think"):
            assert sum(entry[mode]["outcomes"].values()) == 3 and entry[mode]["mean_tokens"] > 0
        assert f"{task:<18} {entry['score']:.3f}" in result.stderr
    answers = micro.lines(tmp_path / "scores" / "answers.jsonl")
    needed = {"id", "task", "mode", "language", "prompt", "media", "width", "height", "gold", "completion", "answer"}
    needed |= {"score", "reward", "outcome", "rule", "tokens", "finish_reason", "cluster"}
    assert len(answers) == 72 and all(needed <= set(answer) for answer in answers)
    summary = json.loads((tmp_path / "scores" / "summary.json").read_text())
    assert (
        set(summary) == {"checkpoint", "temperature", "seconds", "tokens", "mean_reward"}
        and summary["checkpoint"] == "scores"
    )
    assert set(summary["mean_reward"]) == {"score", "interval", "n"}


def test_the_questions_of_the_world_are_held_out_and_always_the_same(monkeypatch) -> None:
    monkeypatch.setattr(pipeline_evaluate, "HELDOUT_ITEMS", dict.fromkeys(HELDOUT_ITEMS, 2))
    one, again = pipeline_evaluate._world_questions(), pipeline_evaluate._world_questions()
    assert one == again
    for sample in one:
        source, _, number = sample.id.partition("#")[0].rpartition("/")
        assert source in HELDOUT_ITEMS and number.startswith("heldout-1-")
        item = build_item(source, seed=1, index=int(number.rsplit("-", 1)[1]), split="heldout", config=tiny.WORLD)
        assert source != "world/arithmetic" or sample.id in {question.id for question in to_questions(item)}


def test_a_dataset_tasks_a_limit_and_a_mode_of_ones_own(tiny_trained: Path, heldout: Path, tmp_path: Path) -> None:
    both = evaluate_checkpoint(tiny_trained, tmp_path / "both", dataset=heldout, limit=4, modes=["no_think"])
    assert {task: entry["n"] for task, entry in both.items()} == {"counting": 4, "arithmetic": 3}
    assert all("thinking" not in entry for entry in both.values())
    one = evaluate_checkpoint(tiny_trained, tmp_path / "one", dataset=heldout, tasks=["arithmetic"], modes=["no_think"])
    assert one == {"arithmetic": both["arithmetic"]}
    assert {answer["task"] for answer in micro.lines(tmp_path / "one" / "answers.jsonl")} == {"arithmetic"}


def test_evaluated_again_the_answers_are_kept(tiny_trained: Path, heldout: Path, tmp_path: Path, monkeypatch) -> None:
    first = evaluate_checkpoint(tiny_trained, tmp_path / "s", dataset=heldout, limit=1, modes=["no_think"])
    asked: list[int] = []
    generate = Engine.generate
    monkeypatch.setattr(
        Engine, "generate", lambda self, requests: (asked.append(len(requests)), generate(self, requests))[1]
    )
    again = evaluate_checkpoint(tiny_trained, tmp_path / "s", dataset=heldout, limit=1, modes=["no_think"])
    assert again == first and sum(asked) == 0
    evaluate_checkpoint(tiny_trained, tmp_path / "s", dataset=heldout, limit=2, modes=["no_think"])
    assert sum(asked) == 2


def test_what_cannot_be_evaluated_is_one_clear_error(tiny_trained, tiny_start, heldout, tmp_path) -> None:
    with pytest.raises(UsageError, match="no question of task 'counts'; there are: arithmetic, counting"):
        evaluate_checkpoint(tiny_trained, tmp_path / "s", dataset=heldout, tasks=["counts"])
    with pytest.raises(UsageError, match="no such dataset folder"):
        evaluate_checkpoint(tiny_trained, tmp_path / "s", dataset=tmp_path / "none")
    with pytest.raises(CheckpointError, match="no such checkpoint folder"):
        evaluate_checkpoint(tmp_path / "none", tmp_path / "s", dataset=heldout)
    assert not (tmp_path / "s").exists()
    evaluate_checkpoint(tiny_trained, tmp_path / "s", dataset=heldout, limit=1, modes=["no_think"])
    with pytest.raises(UsageError, match="holds answers of model"):
        evaluate_checkpoint(tiny_start, tmp_path / "s", dataset=heldout, limit=1, modes=["no_think"])


# ---------------------------------------------------------------- after a step of a run


def test_a_steps_evaluation_is_done_once(tiny_trained: Path, heldout: Path, tmp_path: Path, monkeypatch) -> None:
    settings = EvaluateConfig(questions={"general": 1}, modes=("no_think",), slots=8)
    model, processor = load_checkpoint(tiny_trained), Processor.load(tiny_trained)

    def go(step: str) -> None:
        out = tmp_path / step
        evaluate_step(model, processor, tiny_trained, heldout, out, settings, step=step, progress=None)

    assert not is_evaluated(tmp_path / "general", tiny_trained)
    go("general")
    go("morl")
    assert is_evaluated(tmp_path / "general", tiny_trained)
    assert len(micro.lines(tmp_path / "general" / "answers.jsonl")) == 2  # limited by the step's name
    assert len(micro.lines(tmp_path / "morl" / "answers.jsonl")) == 8
    before = tree(tmp_path / "general")
    monkeypatch.setattr(Engine, "generate", lambda *arguments: pytest.fail("asked again"))
    go("general")
    assert tree(tmp_path / "general") == before


def test_around_reinforcement_learning_questions_are_answered_by_sampling_as_well(
    tiny_trained: Path, heldout: Path, tmp_path: Path
) -> None:
    settings = EvaluateConfig(modes=("no_think",), slots=8, sampled=1)
    model, processor = load_checkpoint(tiny_trained), Processor.load(tiny_trained)
    for out, temperature in (("general", 0.0), ("morl", 0.8)):
        options = dict(step=out, progress=None, temperature=temperature)
        evaluate_step(model, processor, tiny_trained, heldout, tmp_path / out, settings, **options)
    assert not (tmp_path / "general" / "sampled").exists()
    assert is_evaluated(tmp_path / "general", tiny_trained)
    assert not is_evaluated(tmp_path / "general", tiny_trained, sampled=True)
    assert is_evaluated(tmp_path / "morl", tiny_trained, sampled=True)
    greedy, sampled = (micro.lines(tmp_path / "morl" / name) for name in ("answers.jsonl", "sampled/answers.jsonl"))
    assert (len(greedy), len(sampled)) == (8, 2)  # one of each of two tasks
    assert json.loads((tmp_path / "morl" / "sampled" / "summary.json").read_text())["temperature"] == 0.8
    with pytest.raises(UsageError, match="temperature 0.8"):  # greedy answers would mix with them
        evaluate_checkpoint(tiny_trained, tmp_path / "morl" / "sampled", dataset=heldout, limit=2, modes=["no_think"])


def test_scores_of_another_checkpoint_or_unfinished_ones_are_not_taken_for_done(
    tiny_trained: Path, tiny_start: Path, heldout: Path, tmp_path: Path
) -> None:
    evaluate_checkpoint(tiny_trained, tmp_path / "s", dataset=heldout, limit=1, modes=["no_think"])
    assert is_evaluated(tmp_path / "s", tiny_trained)
    assert not is_evaluated(tmp_path / "s", tiny_start)
    for name in ("summary.json", "model.json"):
        shutil.copytree(tmp_path / "s", tmp_path / name)
        (tmp_path / name / name).unlink()
        assert not is_evaluated(tmp_path / name, tiny_trained)


def test_a_fingerprint_is_of_configuration_and_weights_and_of_nothing_else(tiny_start: Path, tmp_path: Path) -> None:
    expected = checkpoint_fingerprint(tiny_start)
    copy = Path(shutil.copytree(tiny_start, tmp_path / "copy"))
    (copy / "generation_config.json").write_text("{}")
    assert checkpoint_fingerprint(copy) == expected
    for name in ("model.safetensors", "config.json"):
        data = (copy / name).read_bytes()
        (copy / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        assert checkpoint_fingerprint(copy) != expected
        (copy / name).write_bytes(data)
