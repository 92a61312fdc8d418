import pytest

from mimovl.evaluate import WORLD_TASKS, mean_reward, score_answers
from mimovl.evaluate.answers import Answer
from mimovl.evaluate.scoring import headline_answers, headline_mode


def answer(task: str, mode: str, score: float, cluster: str, **more: object) -> Answer:
    outcome = "CORRECT" if score == 1 else "WRONG"
    row = {
        "task": task,
        "mode": mode,
        "score": score,
        "reward": score,
        "cluster": cluster,
        "outcome": outcome,
        "tokens": 4,
    }
    return {**row, "extra": {}, **more}


def test_a_task_is_scored_in_each_mode_and_headlined_in_its_own() -> None:
    answers = [
        answer("arithmetic", mode, float(mode == "thinking"), str(i))
        for i in range(20)
        for mode in ("thinking", "no_think")
    ]
    entry = score_answers(answers, WORLD_TASKS)["arithmetic"]
    assert (entry["score"], entry["mode"], entry["n"]) == (1, "thinking", 20)
    assert entry["no_think"]["score"] == 0 and entry["no_think"]["outcomes"] == {"WRONG": 20}
    assert entry["thinking"]["mean_tokens"] == 4
    assert entry["interval"] == pytest.approx([0.838875, 1.0])


def test_extras_are_weighted_over_the_answers_that_have_them() -> None:
    answers = [
        answer("grounding", "no_think", 1, "a", extra={"recall@0.5": [1.0, 1]}),
        answer("grounding", "no_think", 0, "b", extra={"recall@0.5": [0.0, 3]}),
        answer("grounding", "no_think", 0, "c"),
    ]
    entry = score_answers(answers, WORLD_TASKS)["grounding"]
    assert entry["extra"]["recall@0.5"]["score"] == 0.25 and entry["extra"]["recall@0.5"]["n"] == 2


def test_mean_reward_counts_tasks_alike_in_their_headline_mode() -> None:
    answers = [answer("counting", "no_think", 1.0, str(i)) for i in range(9)]
    answers += [answer("counting", "thinking", 0.0, str(i)) for i in range(9)]
    answers += [answer("arithmetic", "thinking", 0.0, "x")]
    shown = headline_answers(answers, score_answers(answers, WORLD_TASKS))
    assert mean_reward(shown)["score"] == 0.5 and mean_reward(shown)["n"] == 10


def test_the_asked_mode_stands_in_for_the_headline_one() -> None:
    assert headline_mode("thinking", ["no_think"]) == "no_think"
    assert headline_mode("thinking", ["no_think", "thinking"]) == "thinking"


def test_tasks_without_answers_are_left_out() -> None:
    assert score_answers([], WORLD_TASKS) == {}
