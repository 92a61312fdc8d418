from __future__ import annotations

import random

import pytest

from mimovl.rl.monitors.config import CountingConfig
from mimovl.rl.monitors.counting import CountingMonitor, count_of, counts_in
from tests.rl.monitors.making import group, resumed, shown

WHERE = ("top", "right", "centre", "left", "bottom", "bottom left", "top right", "top left")


def listed(count: int) -> str:
    return f"<think>\n{', '.join(f'{n} {WHERE[n % 8]}' for n in range(1, count + 1))}\n</think>\n\n{count}"


def monitor(state=None) -> CountingMonitor:
    return CountingMonitor(CountingConfig(), 4, state)


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("1 top, 2 right, 3 centre", [3]),
        ("1, 2, 3, 1, 2, 3, 4", [3, 4]),
        ("3 of 7", []),
        ("0, 1, 2 and 0", [2]),
        ("5, 0, 0", []),
        ("1+1=2", [2]),
        ("[10,12,31,42]", []),
        ("1.5 and 2", []),
        ("first 1 then 2 then 30 then 3", [2]),
        ("1 (20, 30), 2 (40, 50), 3 (60, 70)", [3]),
        ("(1) top (2) right (3) centre", [3]),
        ("1 top, 2 right, [1, 2, 3, 4]", [2]),
    ],
)
def test_how_far_a_text_counts(text: str, counts: list[int]) -> None:
    assert counts_in(text) == counts


STEPS = "<think>\n1. Look at the picture.\n2. Find the largest.\n3. Look at its colour.\n4. Answer.\n</think>\n\n"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (STEPS + "red", 0),
        ("Step 1: look. Step 2: find. Step 3: check. Step 4: count. 3", 0),
        ("1. left circle\n2. right circle\n3. top circle\n\n3", 3),
        ("1, 2, 3. Answer 3", 3),
        ("1 left, 2 right", 2),
        ("no number", 0),
    ],
)
def test_the_numbers_of_steps_count_nothing_unless_the_answer_is_the_last_of_them(text: str, count: int) -> None:
    assert count_of(text) == count


def test_counting_to_the_same_number_whatever_the_picture_is_found() -> None:
    updates = [[group([listed(7)] * 8, answer=gold, id=str(gold)) for gold in (2, 5, 9)] for _ in range(3)]
    [alert] = shown(monitor(), updates)[-1]
    assert alert.monitor == "counting" and "end at 7, whatever the picture" in alert.message


def test_counting_for_ever_and_again_and_again_is_found() -> None:
    endless = " ".join(str(n) for n in range(1, 80))
    again = "1, 2, 3, 4, 5. " * 6
    for text in (endless, again):
        updates = [[group([text, *[listed(3)] * 7], answer=3, id=str(n)) for n in range(4)]]
        [alert] = shown(monitor(), updates)[-1]
        assert "without end or again and again" in alert.message
        assert text in [one.completion.text for one in alert.groups[0].rollouts]


def test_listing_what_is_there_is_healthy() -> None:
    """Right most of the time, one off now and then, up to nine objects: what a counting thought should be."""
    rng = random.Random(0)
    updates = [
        [
            group([listed(max(1, gold + rng.choice((0, 0, 0, 1, -1)))) for _ in range(8)], answer=gold, id=str(gold))
            for gold in rng.sample(range(1, 10), 4)
        ]
        for _ in range(12)
    ]
    assert not any(shown(monitor(), updates))


def test_prompts_of_one_answer_and_prompts_without_a_picture_prove_nothing() -> None:
    same = [[group([listed(5)] * 8, answer=5, id=str(n)) for n in range(6)]]
    assert not any(shown(monitor(), same))
    text = [[group([listed(7)] * 8, answer=gold, picture=None) for gold in (2, 5, 9)]]
    assert not any(shown(monitor(), text))


def test_it_goes_on_where_it_stood() -> None:
    updates = [[group([listed(7)] * 4, answer=gold)] for gold in (2, 5, 9, 4)]
    assert [bool(one) for one in shown(monitor(), updates)] == [False, False, False, True]
    assert resumed(monitor, updates, 2) == shown(monitor(), updates)


def test_counting_to_three_whatever_the_picture_is_found() -> None:
    updates = [[group(["1, 2, 3. Answer 3"] * 8, answer=gold, id=str(gold)) for gold in (1, 3, 5)]]
    [alert] = shown(monitor(), updates)[-1]
    assert alert.kind == "same" and "end at 3" in alert.message


def test_counting_with_places_in_brackets_is_counting() -> None:
    text = ", ".join(f"{n} ({31 * n}, {17 * n})" for n in range(1, 10)) + ". Answer 9"
    updates = [[group([text] * 8, answer=gold, id=str(gold)) for gold in (2, 5, 9)]]
    [alert] = shown(monitor(), updates)[-1]
    assert alert.kind == "same" and "end at 9" in alert.message


def test_a_short_count_made_again_and_again_is_found_and_one_made_a_few_times_is_healthy() -> None:
    for times, kinds in ((6, ["endless"]), (3, [])):
        texts = ["1, 2, 3, " * times + "so 9"] * 2 + ["4"] * 6
        updates = [[group(texts, answer=gold, id=str(gold)) for gold in (2, 5, 9)]]
        assert [alert.kind for alert in shown(monitor(), updates)[-1]] == kinds


def test_a_thought_in_numbered_steps_is_healthy() -> None:
    colours = ("red", "blue", "green", "grey")
    updates = [[group([STEPS + colour] * 8, [1.0] * 8, answer=colour, id=colour) for colour in colours]] * 4
    assert not any(shown(monitor(), updates))
