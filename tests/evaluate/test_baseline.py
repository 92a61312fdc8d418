from pathlib import Path

import pytest

from mimovl.errors import UsageError
from mimovl.evaluate import MedianBaseline, compare_answers, evaluate
from mimovl.types import Gold, Message, Part, Request, Sample
from tests.evaluate.questions import Scripted, always_right


def ask(name: str, text: str, gold: Gold | None) -> Sample:
    return Sample(id=name, messages=(Message("user", (Part("text", text),)),), task="counting", gold=gold)


TRAINING = [
    *(ask(f"r{i}", "How many red cells? /no_think", Gold("count", count)) for i, count in enumerate([9, 12, 13, 20])),
    *(ask(f"w{i}", "How many white cells?", Gold("count", count)) for i, count in enumerate([1, 1, 2])),
    ask("b", "Where?", Gold("box", [[0, 0, 10, 10], [2, 4, 14, 10], [4, 8, 30, 40]])),
    ask("t", "What?", Gold("text", "cells")),
]


def answer(text: str, gold: Gold) -> str:
    return MedianBaseline(TRAINING).generate([Request(ask("x", text, gold), num_samples=2)])[0][1].text


def test_the_median_is_taken_by_question_and_over_all_for_a_new_one() -> None:
    assert answer("How many red cells?", Gold("count", 5)) == "12"
    assert answer("How many white cells? /no_think", Gold("count", 5)) == "1"
    assert answer("How many blue cells?", Gold("count", 5)) == "9"
    assert answer("Where?", Gold("box", [0, 0, 1, 1])) == '[{"bbox_2d":[2,4,14,10]}]'
    assert answer("What?", Gold("text", "cells")) == ""


def test_it_never_sees_the_gold_of_the_question() -> None:
    assert answer("How many red cells?", Gold("count", 5)) == answer("How many red cells?", Gold("count", 50))


def test_it_is_evaluated_and_compared_like_a_model(tmp_path: Path) -> None:
    asked = [ask(f"q{i}", "How many red cells?", Gold("count", 10 + i)) for i in range(9)]
    evaluate(MedianBaseline(TRAINING), asked, None, tmp_path / "median", modes=["no_think"])
    evaluate(Scripted(always_right), asked, None, tmp_path / "model", modes=["no_think"])
    error = compare_answers(tmp_path / "median", tmp_path / "model").headline()["counting"].extra["mean_absolute_error"]
    assert error.before == pytest.approx(sum(abs(12 - (10 + i)) for i in range(9)) / 9)
    assert error.after == 0 and error.verdict == "better"


def test_training_without_counts_or_boxes_is_refused() -> None:
    with pytest.raises(UsageError, match="no training sample has a count or box"):
        MedianBaseline(TRAINING[-1:])
