import pytest

from mimovl.errors import DataError
from mimovl.reward import RewardRouter
from mimovl.types import Completion, Gold, Message, Outcome, Part, Sample, Verdict

QUESTION = (Message("user", (Part("text", "?"),)),)


def sample(task: str, gold: Gold | None) -> Sample:
    return Sample(id=f"{task}-1", messages=QUESTION, task=task, gold=gold)


@pytest.mark.parametrize(
    ("task", "gold", "text", "reward"),
    [
        ("grounding", Gold("box", [0, 0, 10, 10]), "[0,0,10,5]", 0.75),
        ("grounding", Gold("box", [0, 0, 10, 10], {"metric": "accuracy"}), "[0,0,10,5]", 0.75),
        ("grounding", Gold("box", [0, 0, 10, 10]), "[20,0,30,10]", 1 / 3),
        ("grounding", Gold("box", [0, 0, 10, 10]), "[10,10,0,0]", 0),
        ("multi_grounding", Gold("box", [[0, 0, 10, 10], [20, 0, 30, 10]]), "[0,0,10,10]", 0.5),
        ("clip_span", Gold("span", [3, 7], {"metric": "accuracy"}), "[00:05,00:07]", 0.5),
        ("ocr", Gold("text", "hello"), "hallo", 0.8),
        ("attributes", Gold("text", "hello"), "hallo", 0),
        ("caption", Gold("text", "red circle", {"metric": "f1"}), "red", 2 / 3),
        ("gui_point", Gold("point", [0, 0, 10, 10]), "[5,5]", 1),
        ("counting", Gold("count", 3), "<think>…</think>3", 1),
        ("arithmetic", Gold("number", 7), r"<think>\boxed{7}", 0),
    ],
)
def test_each_task_goes_to_its_reward(task: str, gold: Gold, text: str, reward: float) -> None:
    assert RewardRouter().score(sample(task, gold), text).score == pytest.approx(reward)


def test_a_completion_cut_by_the_token_limit_earns_nothing() -> None:
    one = sample("counting", Gold("count", 3))
    assert RewardRouter().score(one, Completion("3", "stop")).score == 1
    verdict = RewardRouter().score(one, Completion("3", "length"))
    assert verdict.score == 0 and verdict.outcome is Outcome.TRUNCATED and verdict.answer == "3"


def test_a_reward_of_ones_own_takes_its_task() -> None:
    def brevity(sample: Sample, text: str) -> Verdict:
        return Verdict(1 / (1 + len(text)), Outcome.CORRECT, text, "brevity")

    router = RewardRouter({"haiku": brevity})
    assert router.score(sample("haiku", None), "abc").score == 0.25
    assert router.score(sample("counting", Gold("count", 3)), "3").score == 1


def test_a_reward_outside_its_range_is_refused() -> None:
    router = RewardRouter({"haiku": lambda sample, text: Verdict(2.0, Outcome.CORRECT)})
    with pytest.raises(DataError, match=r"task 'haiku' gave 2.0, not in \[0, 1\]"):
        router.score(sample("haiku", None), "abc")


def test_a_sample_without_gold_is_named() -> None:
    with pytest.raises(DataError, match="sample 'counting-1' of task 'counting' has no gold"):
        RewardRouter().score(sample("counting", None), "3")


@pytest.mark.parametrize(
    ("gold", "message"),
    [
        (
            Gold("cuont", 3),
            r"sample 'x-1' of task 'x', field gold.kind: unknown kind 'cuont', .*did you mean 'count'\?",
        ),
        (Gold("count", "many"), r"sample 'x-1' of task 'x', field gold.answer: gold answer 'many' is not a number"),
        (Gold("text", "a", {"metrc": "f1"}), r"field gold.options: unknown option 'metrc' .*did you mean 'metric'"),
        (Gold("text", "a", {"metric": "bleu"}), r"field gold.options: unknown text metric 'bleu'"),
    ],
)
def test_a_gold_that_cannot_be_graded_is_named_with_its_field(gold: Gold, message: str) -> None:
    with pytest.raises(DataError, match=message):
        RewardRouter().score(sample("x", gold), "3")
