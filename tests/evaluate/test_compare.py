import json
import math
import random
import shutil
from pathlib import Path
from statistics import mean

import pytest

from mimovl.errors import DataError, UsageError
from mimovl.evaluate import compare_answers, evaluate, read_answers
from mimovl.types import Gold, Request
from tests.evaluate.questions import Scripted, always_right, counting, question

TASKS = ("counting", "grounding", "arithmetic")
QUESTIONS = [
    *counting(120),
    *(question(f"g{i}", "grounding", Gold("box", [0, 0, 10, 10]), scene=f"s{i}") for i in range(60)),
    *(question(f"a{i}", "arithmetic", Gold("number", i)) for i in range(60)),
]


def right_with(chance: float, seed: int) -> Scripted:
    rng = random.Random(seed)
    return Scripted(lambda request: always_right(request) if rng.random() < chance else "[90,90,99,99] 999")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("evaluate")
    evaluate(right_with(0.5, 1), QUESTIONS, None, root / "4-long-context")
    evaluate(right_with(0.9, 2), QUESTIONS, None, root / "5-morl")
    return root / "4-long-context", root / "5-morl"


def test_a_better_model_is_better_on_every_task_and_in_mean_reward(folders: tuple[Path, Path]) -> None:
    comparison = compare_answers(*folders)
    assert list(comparison.tasks) == ["counting", "grounding", "arithmetic"]
    assert comparison.modes == {"counting": "no_think", "grounding": "no_think", "arithmetic": "thinking"}
    for one in comparison.headline().values():
        assert one.score.verdict == one.reward.verdict == "better"
        assert one.score.difference == pytest.approx(one.score.after - one.score.before)
        assert one.score.interval[0] <= one.score.difference <= one.score.interval[1]
    assert comparison.mean_reward.verdict == "better" and comparison.mean_reward.n == 240
    assert comparison.num_unpaired == 0


def test_a_smaller_counting_error_is_better(folders: tuple[Path, Path]) -> None:
    error = compare_answers(*folders).headline()["counting"].extra["mean_absolute_error"]
    assert error.difference < 0 and error.verdict == "better"
    recall = compare_answers(*folders).headline()["grounding"].extra["recall@0.5"]
    assert recall.difference > 0 and recall.verdict == "better"


def test_turned_around_everything_is_worse(folders: tuple[Path, Path]) -> None:
    forth, back = compare_answers(*folders), compare_answers(*reversed(folders))
    assert back.mean_reward.verdict == "worse"
    assert back.mean_reward.difference == pytest.approx(-forth.mean_reward.difference)
    assert back.headline()["counting"].extra["mean_absolute_error"].verdict == "worse"


def test_sampled_answers_are_compared_over_both_modes(folders: tuple[Path, Path], tmp_path: Path) -> None:
    assert compare_answers(*folders).sampled_reward is None
    for name, chance, temperature in (("a", 0.6, 0.7), ("b", 0.8, 0.7), ("c", 0.8, 1.0)):
        shutil.copytree(folders[0], tmp_path / name)
        evaluate(right_with(chance, 3), QUESTIONS, None, tmp_path / name / "sampled", temperature=temperature)
    comparison = compare_answers(tmp_path / "a", tmp_path / "b")
    assert comparison.mean_reward.difference == 0 and comparison.temperature == 0.7
    sampled = comparison.sampled_reward
    assert sampled and sampled.verdict == "better" and sampled.n == 480
    answers = {name: read_answers(tmp_path / name / "sampled" / "answers.jsonl") for name in "ab"}
    tasks = {name: [[a["reward"] for a in answers[name] if a["task"] == task] for task in TASKS] for name in "ab"}
    means = {name: mean(mean(rewards) for rewards in tasks[name]) for name in "ab"}
    assert sampled.difference == pytest.approx(means["b"] - means["a"])
    with pytest.raises(UsageError, match="at temperature 0.7, .* at 1; evaluate both at the same"):
        compare_answers(tmp_path / "a", tmp_path / "c")


def test_a_model_equals_itself(folders: tuple[Path, Path]) -> None:
    comparison = compare_answers(folders[0] / "answers.jsonl", folders[0])
    assert comparison.mean_reward.interval == (0, 0) and comparison.mean_reward.verdict == "no clear difference"


def test_means_equal_those_of_the_score_files(folders: tuple[Path, Path]) -> None:
    comparison = compare_answers(*folders)
    for folder, side in zip(folders, ("before", "after"), strict=True):
        scores = json.loads((folder / "scores.json").read_text())
        summary = json.loads((folder / "summary.json").read_text())
        for task, one in comparison.headline().items():
            assert getattr(one.score, side) == pytest.approx(scores[task]["score"], abs=1e-6)
        assert getattr(comparison.mean_reward, side) == pytest.approx(summary["mean_reward"]["score"], abs=1e-6)
    assert json.loads(json.dumps(comparison.to_dict()))["mean_reward"]["verdict"] == "better"


def test_only_questions_answered_by_both_are_compared(folders: tuple[Path, Path], tmp_path: Path) -> None:
    def answer(request: Request) -> str:
        return always_right(request)

    evaluate(Scripted(answer), QUESTIONS[:10], None, tmp_path, modes=["thinking"])
    comparison = compare_answers(folders[0], tmp_path)
    assert comparison.modes == {"counting": "thinking"} and comparison.headline()["counting"].score.n == 10
    assert comparison.num_unpaired == 470


def test_nothing_in_common_is_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    evaluate(Scripted(always_right), [question("other", "counting", Gold("count", 1))], None, tmp_path)
    with pytest.raises(UsageError, match="have no question in common"):
        compare_answers(folders[0], tmp_path)


def test_an_unfinished_evaluation_can_be_compared(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").write_bytes((folders[1] / "answers.jsonl").read_bytes())
    assert compare_answers(folders[0], tmp_path).modes["arithmetic"] == "thinking"


@pytest.mark.parametrize("value", [10**400, math.inf, "high", None])
def test_a_score_that_is_no_finite_number_is_named(folders: tuple[Path, Path], tmp_path: Path, value: object) -> None:
    first, *rest = (folders[1] / "answers.jsonl").read_text().splitlines()
    changed = {**json.loads(first), "score": value}
    (tmp_path / "answers.jsonl").write_text("\n".join([json.dumps(changed), *rest]) + "\n")
    with pytest.raises(DataError, match=f"score of '{changed['id']}' is .*no finite number"):
        compare_answers(folders[0], tmp_path)


def test_a_task_that_is_a_number_is_compared_under_its_name(folders: tuple[Path, Path], tmp_path: Path) -> None:
    for folder in folders:
        (tmp_path / folder.name).mkdir()
        lines = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
        lines = [{**line, "task": 3} if line["task"] == "counting" else line for line in lines]
        (tmp_path / folder.name / "answers.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    assert list(compare_answers(*(tmp_path / one.name for one in folders)).tasks) == ["grounding", "arithmetic", "3"]


def test_a_measure_that_is_not_there_is_named(folders: tuple[Path, Path], tmp_path: Path) -> None:
    first, *rest = (folders[1] / "answers.jsonl").read_text().splitlines()
    changed = {**json.loads(first), "extra": {"mean_absolute_error": []}}
    (tmp_path / "answers.jsonl").write_text("\n".join([json.dumps(changed), *rest]) + "\n")
    with pytest.raises(DataError, match="mean_absolute_error of .*no finite number"):
        compare_answers(folders[0], tmp_path)
