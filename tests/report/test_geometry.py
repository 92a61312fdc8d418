from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimovl.report.geometry import (
    Geometry,
    after_thought,
    asked_about,
    gold_geometry,
    gold_text,
    read_geometry,
    thought_of,
)

KINDS = ("box", "point", "span", "text", "count", "")


@pytest.mark.parametrize(
    ("kind", "completion", "expected"),
    [
        ("box", '[{"bbox_2d":[1,2,30,40],"label":"x"}]', Geometry(boxes=((1, 2, 30, 40),))),
        ("box", "[[1,2,3,4],[5,6,7,8]]", Geometry(boxes=((1, 2, 3, 4), (5, 6, 7, 8)))),
        ("box", "<think>[1,2,3,4]</think>[5,6,7,8]", Geometry(boxes=((5, 6, 7, 8),))),
        ("box", "<think>[1,2,3,4]", Geometry()),
        ("box", "[30,2,1,40]", Geometry()),
        ("box", "[1e999,2,3,4]", Geometry()),
        ("point", '{"action":"click","start_point":[12,34]}', Geometry(points=((12, 34),))),
        ("span", "[00:03,00:07]", Geometry(span=(3, 7))),
        ("text", "[1,2,3,4]", Geometry()),
        ("box", "", Geometry()),
    ],
)
def test_what_the_grader_reads_is_drawn(kind: str, completion: str, expected: Geometry) -> None:
    assert read_geometry(kind, completion) == expected


@pytest.mark.parametrize(
    ("kind", "answer", "expected"),
    [
        ("box", [1, 2, 3, 4], Geometry(boxes=((1, 2, 3, 4),))),
        ("box", [[1, 2, 3, 4], [5, 6, 7, 8]], Geometry(boxes=((1, 2, 3, 4), (5, 6, 7, 8)))),
        ("point", [1, 2, 3, 4], Geometry(boxes=((1, 2, 3, 4),))),
        ("span", [3.0, 7.0], Geometry(span=(3, 7))),
        ("box", "red", Geometry()),
        ("box", [], Geometry()),
        ("box", [None, 1, 2, 3], Geometry()),
        ("span", [7, 3], Geometry()),
        ("count", 3, Geometry()),
    ],
)
def test_gold_is_drawn_where_it_is_a_place(kind: str, answer: object, expected: Geometry) -> None:
    assert gold_geometry(kind, answer) == expected


@given(st.sampled_from(KINDS), st.text(alphabet="[]{}(),:.0123456789-\\boxed<think/>e ", max_size=80))
def test_no_completion_breaks_the_page(kind: str, completion: str) -> None:
    read_geometry(kind, completion)
    asked_about(completion)
    assert isinstance(thought_of(completion) + after_thought(completion), str)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(KINDS), JSON)
def test_no_gold_breaks_the_page(kind: str, answer: object) -> None:
    gold_geometry(kind, answer)
    assert isinstance(gold_text(kind, answer), str)


def test_thought_and_answer_are_told_apart() -> None:
    assert (thought_of("<think>\na\n</think>\n\nb"), after_thought("<think>\na\n</think>\n\nb")) == ("a", "b")
    assert (thought_of("<think>\na"), after_thought("<think>\na")) == ("a", "")
    assert (thought_of("b"), after_thought("b")) == ("", "b")
    assert (thought_of("a</think>b"), after_thought("a</think>b")) == ("a", "b")


def test_gold_is_written_as_a_person_would() -> None:
    assert gold_text("span", [3.0, 67.5]) == "[00:03,01:07.5]"
    assert gold_text("text", "red") == "red"
    assert gold_text("box", [1, 2, 3, 4]) == "[1,2,3,4]"


def test_the_box_a_question_names_is_found() -> None:
    assert asked_about("What is written in [18,8,46,19]?").boxes == ((18, 8, 46, 19),)
    assert not asked_about("How many circles are there?")
