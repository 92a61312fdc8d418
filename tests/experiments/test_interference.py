from __future__ import annotations

from experiments.arms import config
from experiments.interference.run import COMMON, PROMPTS, TASKS, arms, compare, differences


def said(rewards: dict[str, list[float]]) -> list[dict]:
    return [
        {"id": f"{task}{n}", "task": task, "reward": reward, "length": 10.0}
        for task, values in rewards.items()
        for n, reward in enumerate(values)
    ]


def test_every_arm_is_a_recipe_and_gives_a_task_equal_prompts() -> None:
    for arm in arms(extra=True):
        made = config({**COMMON, "steps": 3}, arm)
        assert made.groups == PROMPTS * len(made.tasks) and len(set(made.tasks.values())) == 1
        assert (made.samples, made.dynamic_sampling, made.thinking) == (8, False, {})
    assert [arm.name for arm in arms(extra=False)] == [*(f"single-{task}" for task in TASKS), "plain", "ours"]


ANSWERS = {
    **{f"single-{task}": [said({task: [0.6, 1.0]}), said({task: [0.8, 1.0]})] for task in TASKS},
    "plain": [said(dict.fromkeys(TASKS, [0.5, 0.7])), said(dict.fromkeys(TASKS, [0.5, 0.9]))],
    "ours": [said(dict.fromkeys(TASKS, [0.6, 0.8])), said(dict.fromkeys(TASKS, [0.6, 1.0]))],
}


def test_single_is_each_tasks_own_policy() -> None:
    table = compare(ANSWERS, said(dict.fromkeys(TASKS, [0.2, 0.4])), "reward")
    assert list(table) == ["start", "single", "plain", "ours"]
    for task in TASKS:
        assert round(table["start"][task].value, 6) == 0.3
        assert [round(value, 6) for value in table["single"][task].seeds] == [0.8, 0.9]


def test_differences_are_taken_question_by_question() -> None:
    """Ours is 0.1 above plain at every question and seed: its interval has no width, however far questions differ."""
    for value in differences(ANSWERS, "ours", "plain").values():
        assert [round(one, 6) for one in (value.low, value.value, value.high)] == [0.1, 0.1, 0.1]
    assert all(value.value < 0 for value in differences(ANSWERS, "plain", "single").values())
