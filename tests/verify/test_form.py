import pytest

from mimovl.errors import DataError
from mimovl.types import Outcome
from mimovl.verify import grade


@pytest.mark.parametrize(
    ("form", "completion", "kept"),
    [
        ("thought", "<think>a</think>b", True),
        ("thought", "a</think>b", True),
        ("thought", "b", False),
        ("thought", "<think>a</think><think>c</think>b", False),
        ("boxed", r"so \boxed{5}", True),
        ("boxed", r"\boxed{5}\boxed{5}", False),
        ("boxed", r"\boxed{5", False),
        ("json", '{"a":1}', True),
        ("json", '{"a":1}{"b":2}', False),
        ("boxes", '[{"bbox_2d":[1,2,3,4],"label":"x"}]', True),
        ("boxes", "[1,2,3,4]", False),
        ("boxes", '[{"bbox_2d":[3,4,1,2]}]', False),
        ("action", '{"action":"wait"}', True),
        ("action", '{"action":"click"}', False),
        ("span", "[00:03, 00:07]", True),
        ("span", "from 3 to 7", False),
        ("yes_no", "Yes.", True),
        ("yes_no", "Maybe", False),
        ("letter", "(B)", True),
        ("letter", "The answer is B", False),
    ],
)
def test_a_form_is_kept_or_not(form: str, completion: str, kept: bool) -> None:
    verdict = grade("format", completion, form)
    assert verdict.score == float(kept) and (verdict.outcome is Outcome.CORRECT) is kept


def test_several_forms_share_the_score() -> None:
    verdict = grade("format", r"<think>a</think>\boxed{5}", ["thought", "boxed", "json", "span"])
    assert verdict.score == 0.5 and verdict.rule == "not json, span"


def test_no_answer_has_no_form() -> None:
    assert grade("format", "<think>a</think>", "boxed").outcome is Outcome.NO_ANSWER


def test_unknown_forms_are_refused_with_the_nearest() -> None:
    with pytest.raises(DataError, match=r"unknown form 'boxd'; .* did you mean 'boxed'\?"):
        grade("format", "x", "boxd")
    with pytest.raises(DataError, match="names no form"):
        grade("format", "x", [])
