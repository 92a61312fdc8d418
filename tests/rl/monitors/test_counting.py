from __future__ import annotations

import random

import pytest

from mimovl.rl.monitors.config import CountingConfig
from mimovl.rl.monitors.counting import CountingMonitor, counts_in
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
    ],
)
def test_how_far_a_text_counts(text: str, counts: list[int]) -> None:
    assert counts_in(text) == counts


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
