from mimovl.evaluate import Task
from mimovl.types import Completion, Gold, Outcome
from tests.evaluate.questions import question


def test_a_task_takes_samples_by_name_source_and_kind() -> None:
    sample = question("a", "counting", Gold("count", 1), source="voc/cells")
    assert Task("counting", "accuracy").takes(sample)
    assert not Task("grounding", "accuracy").takes(sample)
    assert Task("counting", "accuracy", sources=("voc",)).takes(sample)
    assert Task("counting", "accuracy", sources=("world", "voc/cells")).takes(sample)
    assert not Task("counting", "accuracy", sources=("vo",)).takes(sample)
    assert Task("counting", "accuracy", kinds=("count",)).takes(sample)
    assert not Task("counting", "accuracy", kinds=("box",)).takes(sample)
    assert not Task("counting", "accuracy").takes(question("b", "counting", None))


def test_task_options_lie_over_those_of_the_gold() -> None:
    task = Task("ocr", "accuracy", options={"text": {"metric": "exact"}})
    gold = Gold("text", "a", {"metric": "edit", "aliases": ["b"]})
    assert task.options_for(gold) == {"metric": "exact", "aliases": ["b"]}


def test_a_cut_answer_is_truncated_only_when_nothing_could_be_read() -> None:
    task, sample = Task("counting", "accuracy"), question("a", "counting", Gold("count", 3))
    assert task.judge(sample, Completion("I see", "length")).outcome is Outcome.TRUNCATED
    assert task.judge(sample, Completion("I see", "stop")).outcome is Outcome.NO_ANSWER
    assert task.judge(sample, Completion("3", "length")).outcome is Outcome.CORRECT
