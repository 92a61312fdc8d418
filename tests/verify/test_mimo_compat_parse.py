import pytest

from mimovl.verify.mimo_compat_parse import (
    drag_direction,
    first_box,
    first_point,
    first_span,
    last_boxed,
    parse_choice,
    read_suite_action,
)


def test_a_box_may_nest_once_and_no_deeper() -> None:
    assert last_boxed(r"\boxed{1} then \boxed{\frac{1}{2}}") == r"\frac{1}{2}"
    deep = r"\boxed{\frac{\sqrt{3}}{2}}"
    assert last_boxed(deep) == deep


def test_the_first_four_numbers_anywhere_are_the_box() -> None:
    assert first_box("<think>[0,0,1,1]</think>[10,20,50,60]") == (0, 0, 1, 1)
    assert first_box("(1, 2, 3, 4)") == (1, 2, 3, 4)
    assert first_box("top-left x: 1 top-left y: 2 bottom-right x: 3 bottom-right y: 4") == (1, 2, 3, 4)
    assert first_box("none") == (0, 0, 0, 0)
    assert first_point("at (3, 4)") == (3, 4)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        (r"\boxed{[00:03, 00:07]} \boxed{[00:10, 00:20]}", (3, 7)),
        (r"\boxed{[00:03.5, 00:07]}", (0, 0)),
        ("[00:03,00:07]", (3, 7)),
        ("from 3 to 7", (3, 7)),
        ("it starts at 3 seconds!it ends at 7 seconds", (3, 7)),
        ("never", (0, 0)),
    ],
)
def test_spans_are_read_as_the_suite_reads_them(text: str, span: tuple[float, float]) -> None:
    assert first_span(text) == span


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("(B)", "B"),
        ("B", "B"),
        ("it is A or B ", "B"),
        ("I see a ball that is blue indeed", "B"),
        ("hm", ""),
        ("B.x", "B"),
    ],
)
def test_choices_are_read_by_the_rules_of_mmmu(text: str, letter: str) -> None:
    assert parse_choice(text, list("ABCD"), {"A": "red", "B": "blue"}) == letter


def test_actions_are_read_from_a_fence_or_from_the_first_brace() -> None:
    assert read_suite_action('```json\n[{"action":"wait"}]\n```') == {"action": "wait"}
    assert read_suite_action('so {"action":"wait"}') == {"action": "wait"}
    assert read_suite_action('{"action": "wait"') is None and read_suite_action("wait") is None


def test_a_drag_goes_where_it_goes_most() -> None:
    assert drag_direction({"start_point": [5, 80], "end_point": [9, 20]}) == "up"
    assert drag_direction({"start_point": [5, 5], "end_point": [90, 20]}) == "right"
    assert drag_direction({"start_point": [5, 5]}) == ""
