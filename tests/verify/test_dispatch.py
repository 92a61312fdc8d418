"""What holds for every kind: no text of a model raises, takes time, or leaves [0, 1]."""

import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mimovl.errors import DataError
from mimovl.types import Outcome
from mimovl.verify import KINDS, grade

GOLDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "choice": ("B", {"choices": ["red", "blue", "7"]}),
    "number": ("7", {}),
    "math": (r"\frac{1}{2}", {"symbolic": False}),
    "box": ([[1, 2, 30, 40], [50, 2, 70, 40]], {}),
    "point": ([1, 2, 30, 40], {}),
    "count": (3, {}),
    "span": ([3.0, 7.0], {}),
    "text": ("red circle", {"metric": "edit"}),
    "action": ({"action": "click", "bbox": [1, 2, 30, 40]}, {}),
    "json": ({"a": [1, 2]}, {"metric": "fields"}),
    "format": (["boxed", "json", "boxes", "action", "span", "yes_no", "letter", "thought"], {}),
    "repetition": (0.2, {}),
    "length": (100, {"slack": 50}),
}

pieces = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        [
            "<think>",
            "</think>",
            r"\boxed{",
            "}",
            "{",
            "[",
            "]",
            "(",
            ")",
            ",",
            ":",
            "-",
            "/",
            "%",
            "=",
            '"bbox_2d":',
            "1",
        ]
        + ['"start_point":', "[1,2,30,40]", "00:03", r"\frac", "^", "e999", "NaN", "²", "٣", "三", "百分之", "two", "B"]
        + ["\ud800", "\x00", "\u202e", "answer is", "答案是", "½", "1,000", "." * 9, r"\\", "$", "`", "*", "10**100000"]
    ),
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150)
@given(parts=st.lists(pieces, max_size=14))
@example(parts=[r"\boxed{"] * 50)
@example(parts=["[1,2,30,40]"] * 50)
def test_any_text_gets_a_verdict(kind: str, parts: list[str]) -> None:
    gold, options = GOLDS[kind]
    verdict = grade(kind, "".join(parts), gold, **options)
    assert 0 <= verdict.score <= 1
    assert isinstance(verdict.outcome, Outcome) and verdict.rule and len(verdict.answer) <= 500
    if verdict.outcome not in (Outcome.CORRECT, Outcome.WRONG):
        assert verdict.score == 0


@pytest.mark.parametrize("kind", KINDS)
@given(thought=st.text(max_size=60))
def test_an_unfinished_thought_is_truncated_whatever_it_holds(kind: str, thought: str) -> None:
    gold, options = GOLDS[kind]
    verdict = grade(kind, "<think>" + thought.replace("</think>", ""), gold, **options)
    assert verdict.outcome is Outcome.TRUNCATED and verdict.score == 0


MILLION = 10**6
HOSTILE = {
    "one long word": "a" * MILLION,
    "digits": "1" * MILLION,
    "spaced digits": "1 " * (MILLION // 2),
    "commas": "1," * (MILLION // 2),
    "decimal points": "1.1" * (MILLION // 3),
    "open braces": "{" * MILLION,
    "open boxes": r"\boxed{" * (MILLION // 7),
    "nested boxes": r"\boxed{" * (MILLION // 8) + "}" * (MILLION // 8),
    "a box of braces": r"\boxed{" + "{" * (MILLION // 2) + "}" * (MILLION // 2) + "}",
    "open brackets": "[" * MILLION,
    "lists": "[1,2,30,40]," * (MILLION // 12),
    "keys": '{"bbox_2d":[1,2,30,40],' * (MILLION // 24),
    "unclosed keys": '"bbox_2d":[1,' * (MILLION // 13),
    "times": "00:03 - " * (MILLION // 8),
    "open times": "[00:03," * (MILLION // 7),
    "spaces": " " * MILLION + "x",
    "boxes and spaces": r"\boxed" + " " * MILLION,
    "thoughts": "<think></think>" * (MILLION // 15),
    "markers": "the answer is " * (MILLION // 14),
    "numerals": "三" * MILLION,
    "number words": "one hundred and " * (MILLION // 16),
    "full-width digits": "１" * MILLION,
    "fractions": "½" * MILLION,
    "expanding characters": "\ufdfa" * MILLION,
    "letters": "A or B, " * (MILLION // 8),
    "minus signs": "-" * MILLION,
    "backslashes": "\\" * MILLION,
    "a tower": r"\boxed{10" + "**100000" * 1000 + "}",
    "a power": r"\boxed{10**100000}",
    "carets": r"\boxed{9" + "^9" * 100_000 + "}",
    "dollars": "$" * MILLION,
    "backquotes": "`" * MILLION,
    "dollars and a letter": "$" * MILLION + "x",
    "backquotes and a letter": "`" * MILLION + "x",
    "stars and a letter": "*" * MILLION + "x",
    "spaces in a macro": "\\text" + " " * MILLION + "{x",
    "dollars far apart": ("$" + " " * 99) * (MILLION // 100),
    "line breaks": "\n" * MILLION + "3",
    "a mixed literal": "1" * 600 + " " + "1" * 500,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_of_a_million_characters_does_not_cost_its_square(name: str) -> None:
    """A grader that looks at every pair of a million characters takes a quarter of an hour; ours take a second."""
    for kind in KINDS:
        gold, options = GOLDS[kind]
        boxed = [r"\boxed{" + HOSTILE[name] + "}"] if kind in ("number", "text") else []  # reading the box is shared
        for text in (HOSTILE[name], *boxed):
            started = time.process_time()
            verdict = grade(kind, text, gold, **options)
            assert time.process_time() - started < 20, (kind, name)
            assert 0 <= verdict.score <= 1


def test_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(DataError, match=r"unknown kind 'boxes', not one of choice, .*, length; did you mean 'box'\?"):
        grade("boxes", "1", 1)


def test_unknown_option_names_the_nearest() -> None:
    with pytest.raises(
        DataError, match=r"unknown option 'metrics' of kind 'box', which has metric, threshold; did you mean 'metric'\?"
    ):
        grade("box", "1", [1, 2, 3, 4], metrics="iou")
    with pytest.raises(DataError, match="which has none"):
        grade("count", "1", 1, tolerance=1)
