from collections.abc import Sequence
from pathlib import Path

import pytest

from mimovl.errors import DataError
from mimovl.reward import RewardRouter, reward_options
from mimovl.reward.router import Open
from mimovl.types import Completion, Gold, Message, Outcome, Part, Sample, Verdict
from mimovl.verify import grade
from mimovl.verify.audit import read_labelled

LABELLED = Path(__file__).parent.parent / "verify" / "gold"
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


class Lengths:
    """A reward model by its protocol, and what it was asked."""

    def __init__(self, scale: float = 0.1) -> None:
        self.scale = scale
        self.asked: list[list[str]] = []

    def score(self, samples: Sequence[Sample], completions: Sequence[str]) -> list[float]:
        self.asked.append([sample.id for sample in samples])
        return [len(text) * self.scale for text in completions]


def test_tasks_with_a_reward_model_go_to_it_in_micro_batches_and_all_verdicts_stay_in_order() -> None:
    model = Lengths()
    router = RewardRouter(models={"rlhf": model}, micro_batch=3)
    samples, texts, expected = [], [], []
    for n in range(8):
        samples += [Sample(f"m{n}", QUESTION, task="rlhf"), sample("counting", Gold("count", n))]
        texts += ["x" * n, "4"]
        expected += [pytest.approx(n * 0.1), float(n == 4)]
    verdicts = router.score_many(samples, texts)
    assert [verdict.score for verdict in verdicts] == expected
    assert model.asked == [["m0", "m1", "m2"], ["m3", "m4", "m5"], ["m6", "m7"]]
    assert [verdict.outcome for verdict in verdicts[::2]] == [Outcome.WRONG] * 5 + [Outcome.CORRECT] * 3


def test_a_cut_completion_is_not_shown_to_the_reward_model() -> None:
    model = Lengths()
    router = RewardRouter(models={"rlhf": model})
    verdict = router.score(sample("rlhf", None), Completion("abc", "length"))
    assert (verdict.score, verdict.outcome, model.asked) == (0.0, Outcome.TRUNCATED, [])


def test_a_reward_model_out_of_range_is_refused_by_its_task() -> None:
    with pytest.raises(DataError, match=r"model of task 'rlhf' gave 5.0, not in \[0, 1\]"):
        RewardRouter(models={"rlhf": Lengths(1.0)}).score(sample("rlhf", None), "abcde")


def test_a_reward_model_that_gives_too_few_scores_is_refused_with_both_numbers() -> None:
    class Forgetful:
        def score(self, samples: Sequence[Sample], completions: Sequence[str]) -> list[float]:
            return [0.5]

    with pytest.raises(DataError, match="model of task 'rlhf' gave 1 scores for 2 completions"):
        RewardRouter(models={"rlhf": Forgetful()}).score_many([sample("rlhf", None)] * 2, ["a", "b"])


def test_a_task_has_a_function_or_a_model_and_not_both() -> None:
    with pytest.raises(DataError, match="task 'a' has a reward function and a reward model"):
        RewardRouter({"a": lambda sample, text: Verdict(0.5, Outcome.CORRECT)}, {"a": Lengths()})


def test_many_at_once_get_the_verdicts_of_one_at_a_time_and_of_the_graders() -> None:
    """Every labelled pair, so that the two halves of the router add up to ``mimovl.verify.grade``."""
    rows = [row for file in sorted(LABELLED.glob("*.jsonl")) for row in read_labelled(file)][::4]
    samples = [Sample("s", QUESTION, gold=Gold(row.item.kind, row.item.gold, row.item.options)) for row in rows]
    together = RewardRouter().score_many(samples, [row.item.completion for row in rows])
    options = [reward_options("", one.gold) for one in samples if one.gold]
    alone = [
        grade(row.item.kind, row.item.completion, row.item.gold, **own) for row, own in zip(rows, options, strict=True)
    ]
    assert len(rows) > 200 and together == alone
    assert sum(verdict.rule == "Math-Verify" for verdict in together) > 3


def test_what_rules_cannot_decide_is_left_open_by_the_first_half() -> None:
    router = RewardRouter()
    one = sample("math", Gold("math", r"\frac12"))
    started = router.start(one, r"\boxed{\int_0^1 x\,dx}")
    assert isinstance(started, Open) and started.pending is not None and started.pending.reason == ""
    assert router.finish([one], ["…"], [started])[0].rule == "Math-Verify"
    assert isinstance(router.start(one, r"\boxed{0.5}"), Verdict)
    cut = router.start(one, Completion(r"\boxed{\int_0^1 x\,dx}", "length"))
    assert isinstance(cut, Verdict) and cut.outcome is Outcome.TRUNCATED and "int" in cut.answer
