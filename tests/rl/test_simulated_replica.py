"""One simulated engine's arithmetic, against a pass at a time."""

from __future__ import annotations

import pytest

from mimovl.rl.simulated_replica import Hardware, Moved, Replica

HARDWARE = Hardware(seconds_per_pass=2.0, seconds_per_cached_token=0.01)


def seconds(written: list[int], tokens: int) -> float:
    """Of so many passes over samples that hold so much already."""
    return sum(2.0 + 0.01 * sum(one + n + 0.5 for one in written) for n in range(tokens))


def test_a_sample_that_moves_goes_on_where_it_was() -> None:
    giver, taker = Replica(HARDWARE), Replica(HARDWARE)
    giver.add(1, [50, 90, 70])
    giver.advance(seconds([0, 0, 0], 30))
    (moved,) = giver.give(1)
    assert moved.ticket == 1 and moved.length - moved.written == pytest.approx({50: 20, 90: 60, 70: 40}[moved.length])
    assert moved.written == pytest.approx(30)
    taker.advance(giver._now)
    taker.adopt(moved)
    assert taker.next_end() - giver._now == pytest.approx(seconds([30], moved.length - 30))
    assert giver.reserved == 2 and len(giver.running) == 2
    left = min(length for *_, length in giver.running)
    assert giver.next_end() - giver._now == pytest.approx(seconds([30, 30], left - 30))


def test_what_has_least_to_move_is_given_first() -> None:
    replica = Replica(HARDWARE)
    replica.add(1, [100, 100])
    replica.advance(seconds([0, 0], 10))
    replica.adopt(Moved(2, 0, 80, 5.0))
    replica.reserved += 1
    assert replica.give(1)[0].ticket == 2
    assert [one.ticket for one in replica.give(5)] == [1, 1]
    assert not replica.running and not replica.reserved and replica._cached == pytest.approx(0)


def test_an_engine_without_samples_is_not_busy() -> None:
    replica = Replica(HARDWARE)
    replica.advance(5.0)
    replica.add(1, [10])
    replica.advance(replica.next_end())
    assert replica.ended() == [(1, 0, 10)]
    replica.advance(100.0)
    assert replica.busy == pytest.approx(seconds([0], 10))
