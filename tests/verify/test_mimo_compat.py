"""What the paper's suite does, beside what we do: each of its defects that a grader can have, pinned in both modes."""

from typing import Any

import pytest

from mimovl.errors import DataError
from mimovl.types import Outcome
from mimovl.verify import grade
from mimovl.verify.math_process import math_verify_installed

BOX = [10, 20, 50, 60]
AT_HALF, SCREEN = {"metric": "accuracy"}, {"size": [1000, 1000]}
HELLO, DONE = {"action": "input", "text": "hello"}, {"action": "finished", "status": "success"}
CLICK = {"action": "click", "start_point": [500, 500]}
needs_math = pytest.mark.skipif(not math_verify_installed(), reason="needs the math extra")


@pytest.mark.parametrize(
    ("kind", "completion", "gold", "options", "suite", "strict"),
    [
        pytest.param("math", r"<think>\boxed{7}", "7", {}, 1, 0, id="a box in an unfinished thought", marks=needs_math),
        pytest.param("math", r"\boxed{5\text{ cm}}", r"5\text{ m}", {}, 1, 0, id="units dropped", marks=needs_math),
        pytest.param("math", r"\boxed{2^{-99}}", "2^{-98}", {}, 1, 0, id="tiny numbers equal", marks=needs_math),
        pytest.param("count", "<think>5, no</think>There are 3.", 3, {}, 0, 1, id="only the bare digit counts"),
        pytest.param("count", r"\boxed{3}", 3, {}, 1, 1, id="a boxed digit"),
        pytest.param("box", "<think>[0,0,1,1]</think>[10,20,50,60]", BOX, AT_HALF, 0, 1, id="a box of the thought"),
        pytest.param("box", "[10,20,50,60]", BOX, AT_HALF, 1, 1, id="one box"),
        pytest.param("box", "[10,20,50,60][0,0,9,9]", BOX, AT_HALF, 1, 0, id="a second box is not seen"),
        pytest.param("point", "[30,40] or [0,0]", BOX, {}, 1, 0, id="the first of two points"),
        pytest.param("span", r"\boxed{[00:03.5,00:07]}", [3.5, 7], {}, 0, 1, id="fractions of seconds"),
        pytest.param("span", r"\boxed{[00:03,00:07]}\boxed{[00:20,00:30]}", [3, 7], {}, 1, 0, id="the first box"),
        pytest.param("text", "Save", "save", {}, 1, 1, id="case"),
        pytest.param("text", "the save", "save", {}, 0, 1, id="no articles"),
        pytest.param("text", "in 1999 or so", "1999", {"metric": "relaxed"}, 1, 0, id="the gold anywhere in the text"),
        pytest.param("number", r"\boxed{3.1415}", 3.1416, {}, 1, 0, id="within a thousandth"),
        pytest.param("action", '{"action":"input","text":"hell"}', HELLO, SCREEN, 1, 0, id="a part of the text"),
        pytest.param("action", '{"action":"click","start_point":[530,500]}', CLICK, SCREEN, 1, 1, id="within 0.04"),
        pytest.param("action", '{"action":"finished","status":"fail"}', DONE, SCREEN, 1, 0, id="status not looked at"),
    ],
)
def test_each_rule_of_the_suite_beside_ours(
    kind: str, completion: str, gold: Any, options: dict[str, Any], suite: float, strict: float
) -> None:
    assert grade(kind, completion, gold, mode="mimo_compat", **options).score == suite
    assert grade(kind, completion, gold, **options).score == strict


def test_a_guess_is_seeded_by_the_seed_and_the_completion() -> None:
    def guessed(seed: int, text: str = "hm") -> str:
        verdict = grade("choice", text, "A", mode="mimo_compat", seed=seed)
        assert verdict.rule == "mimo_compat: random guess"
        return verdict.answer

    assert guessed(1) == guessed(1)
    assert {guessed(seed) for seed in range(40)} == set("ABCD")
    assert len({guessed(1, f"hm {n}") for n in range(40)}) == 4


def test_strict_never_guesses() -> None:
    assert grade("choice", "hm", "A").outcome is Outcome.NO_ANSWER


def test_points_of_the_suite_may_hit_a_neighbouring_element() -> None:
    options = {"size": [1000, 1000], "boxes": [[560, 480, 640, 520]]}
    text = '{"action":"click","start_point":[600,500]}'
    assert grade("action", text, CLICK, mode="mimo_compat", **options).score == 1
    assert grade("action", text, CLICK, mode="mimo_compat", size=[1000, 1000]).score == 0


def test_a_drag_is_taken_for_a_scroll() -> None:
    drag = '{"action":"drag","start_point":[50,80],"end_point":[50,20]}'
    gold = {"action": "scroll", "direction": "up"}
    assert grade("action", drag, gold, mode="mimo_compat", size=[100, 100]).score == 1
    assert grade("action", drag, gold).score == 0


def test_kinds_without_a_rule_there_are_refused() -> None:
    with pytest.raises(DataError, match="the paper's suite has no rule for kind 'json'"):
        grade("json", "{}", {}, mode="mimo_compat")


def test_options_are_those_of_the_mode() -> None:
    with pytest.raises(DataError, match="unknown option 'seed' of kind 'choice', which has choices"):
        grade("choice", "A", "A", seed=1)
    with pytest.raises(DataError, match="unknown option 'tolerance' of kind 'math' in mode 'mimo_compat', which has"):
        grade("math", "1", "1", mode="mimo_compat", tolerance=1)
    with pytest.raises(DataError, match=r"unknown mode 'mimo', not one of strict, mimo_compat"):
        grade("math", "1", "1", mode="mimo")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"give the option size=\[width, height\]"):
        grade("action", "x", CLICK, mode="mimo_compat")
