import pytest

from mimovl.evaluate import WORLD_TASKS
from mimovl.types import Completion, Gold
from tests.evaluate.questions import question

TASKS = {task.name: task for task in WORLD_TASKS}


def test_only_arithmetic_and_visual_reasoning_are_headlined_thinking() -> None:
    assert {task.name for task in WORLD_TASKS if task.headline == "thinking"} == {"arithmetic", "visual_reasoning"}


@pytest.mark.parametrize(
    ("task", "gold", "text", "score"),
    [
        ("grounding", Gold("box", [0, 0, 10, 10]), "[0,0,10,5]", 1),
        ("grounding", Gold("box", [0, 0, 10, 10]), "[0,0,10,4]", 0),
        ("multi_grounding", Gold("box", [[0, 0, 10, 10], [20, 0, 30, 10]]), "[0,0,10,10]", 0.5),
        ("ocr", Gold("text", "hello", {"metric": "edit"}), "hallo", 0.8),
        ("ocr_box", Gold("text", "hello", {"metric": "edit"}), "hallo", 0),
        ("ocr_box", Gold("box", [0, 0, 10, 10]), "[0,0,10,5]", 1),
        ("clip_span", Gold("span", [3, 7]), "[00:05,00:07]", 0.5),
        ("clip_events", Gold("text", "left"), "Left.", 1),
        ("attributes", Gold("text", "red"), "Red.", 1),
        ("caption", Gold("text", "red circle", {"metric": "f1"}), "red", 2 / 3),
        ("gui_point", Gold("point", [0, 0, 10, 10]), '{"action":"click","start_point":[5,5]}', 1),
        ("arithmetic", Gold("number", 12), r"\boxed{12}", 1),
        ("visual_reasoning", Gold("text", "red"), r"\boxed{red}", 1),
    ],
)
def test_each_task_scores_by_its_metric(task: str, gold: Gold, text: str, score: float) -> None:
    sample = question("q", task, gold)
    assert TASKS[task].takes(sample)
    verdict = TASKS[task].judge(sample, Completion(text, "stop"))
    assert verdict.score == pytest.approx(score)
    if TASKS[task].binary:
        assert verdict.score in (0, 1)


def test_answers_are_cut_where_a_model_that_never_stops_would_cost_minutes() -> None:
    long = {"caption", "ocr", "multi_grounding"}
    for name, task in TASKS.items():
        assert task.max_tokens == {"no_think": 160 if name in long else 96, "thinking": 224}
