from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimovl.rl.ledger import Entry, Failure, Ledger
from mimovl.types import Completion, Outcome, Request, Sample, Verdict


def ledger(count: int, groups: int) -> Ledger:
    made = Ledger(groups, lambda rewards: max(rewards) > min(rewards))
    for number in range(count):
        made.start(Entry(number, Request(Sample(f"s{number}", ())), 0))
    return made


def verdicts(valid: bool) -> list[Verdict]:
    return [Verdict(score, Outcome.WRONG) for score in ((0.0, 1.0) if valid else (1.0, 1.0))]


@given(st.lists(st.sampled_from(["valid", "flat", "fault"]), min_size=1, max_size=12), st.integers(1, 4), st.randoms())
def test_the_batch_is_the_first_informative_groups_in_the_order_of_starting_whatever_arrives_first(
    kinds: list[str], groups: int, draw: random.Random
) -> None:
    made = ledger(len(kinds), groups)
    places = [place for place, kind in enumerate(kinds) if kind == "valid"]
    order = list(range(len(kinds)))
    draw.shuffle(order)
    for count, number in enumerate(order, start=1):
        kind = kinds[number]
        if kind == "fault":
            made.decide(number, None, Failure("reward-raised", "as it happens"))
        else:
            made.decide(number, verdicts(kind == "valid"))
        needed = places[groups - 1] + 1 if len(places) >= groups else None
        full = needed is not None and set(range(needed)) <= set(order[:count])
        assert made.cut == (needed if full else None)
    assert [entry.number for entry in made.accepted()] == places[:groups]
    assert (made.valid, made.open, made.faults) == (len(places), 0, kinds.count("fault"))


def test_a_group_that_is_dropped_has_no_rewards_and_is_never_accepted() -> None:
    made = ledger(2, 1)
    made.finish(0, [Completion("a", "stop")])
    made.decide(0, None, Failure("reward-timeout", "too late"))
    assert made[0].decided and made[0].rewards == [] and made.accepted() == []
    with pytest.raises(AssertionError, match="group 0 is decided twice"):
        made.decide(0, verdicts(True))
