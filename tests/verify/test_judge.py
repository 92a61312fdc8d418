from collections.abc import Sequence

import pytest

from mimovl.types import Completion, Outcome, Request
from mimovl.verify import Item, generate_judge, grade, grade_many


class Scripted:
    """A model that says one thing, or fails."""

    def __init__(self, text: str, finish: str = "stop") -> None:
        self.text, self.finish, self.asked = text, finish, [""]

    def generate(self, requests: Sequence[Request]) -> list[list[Completion]]:
        self.asked.append(requests[0].sample.messages[-1].text)
        if self.text == "fail":
            raise ConnectionError("gone")
        return [[Completion(self.text, self.finish)]]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "judged"),
    [
        ("SAME", True),
        ("<think>hm</think> different.", False),
        ("UNSURE", None),
        ("They are the SAME, I think", None),
        ("", None),
        ("fail", None),
    ],
)
def test_only_one_of_two_words_is_a_verdict(said: str, judged: bool | None) -> None:
    assert generate_judge(Scripted(said))("q", "a", "b") is judged


def test_a_judge_that_is_cut_off_has_not_judged() -> None:
    assert generate_judge(Scripted("SAME", "length"))("q", "a", "b") is None


def test_the_judge_is_asked_last_and_sees_the_question() -> None:
    model = Scripted("SAME")
    options = {"judge": generate_judge(model), "question": "Which triangle?"}
    verdict = grade("math", r"\boxed{\text{isosceles triangle}}", r"\text{isosceles}", **options)
    assert verdict.outcome is Outcome.CORRECT and verdict.rule == "judge"
    assert "Which triangle?" in model.asked[-1] and "isosceles triangle" in model.asked[-1]
    asked = len(model.asked)
    assert grade("math", r"\boxed{5}", "6", **options).outcome is Outcome.WRONG
    assert len(model.asked) == asked


def test_a_batch_asks_the_judge_as_well() -> None:
    options = {"judge": generate_judge(Scripted("DIFFERENT"))}
    [verdict] = grade_many([Item("math", r"\boxed{\text{right}}", r"\text{isosceles}", options)])
    assert verdict.outcome is Outcome.WRONG and verdict.rule == "judge"


def test_an_undecided_judge_leaves_it_ungraded() -> None:
    options = {"judge": generate_judge(Scripted("UNSURE"))}
    assert grade("math", r"\boxed{\text{right}}", r"\text{isosceles}", **options).outcome is Outcome.NOT_GRADED
