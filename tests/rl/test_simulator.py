from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mimovl.rl.simulated_replica import Hardware
from mimovl.rl.simulator import SimulatedEngine, SimulatedTime, World
from mimovl.types import Request, Sample, SamplingParams


def requests(count: int, samples: int = 8) -> list[Request]:
    return [Request(Sample(f"s{n}", ()), SamplingParams(1.0, seed=n), samples) for n in range(count)]


@pytest.mark.parametrize(("mean", "skew"), [(0.3, 0.9), (0.12, 1.2)])
def test_the_world_has_the_statistics_it_was_given(mean: float, skew: float) -> None:
    world = World(mean=mean, skew=skew)
    asked = requests(4000)
    lengths = np.array([world.lengths(request) for request in asked])
    assert lengths.mean() / world.longest == pytest.approx(mean, rel=0.05)
    assert lengths.max() == world.longest and np.median(lengths) < lengths.mean()
    assert np.corrcoef(lengths[:, 0], lengths[:, 1])[0, 1] > 0.2
    mixed = [len(set(world.right(request))) == 2 for request in asked]
    assert np.mean(mixed) == pytest.approx(0.41, abs=0.03)
    assert np.array_equal(world.lengths(asked[3]), dataclasses.replace(world).lengths(asked[3]))


def test_samples_end_when_their_length_is_written_and_groups_wait_for_room() -> None:
    world, time = World(longest=100), SimulatedTime()
    engine = SimulatedEngine(world, time, slots=8, hardware=Hardware(seconds_per_pass=2.0))
    first, second = (engine.submit(request) for request in requests(2))
    ends: dict[int, list[float]] = {first: [], second: []}
    while len(ends[first]) + len(ends[second]) < 16:
        for done in engine.step():
            ends[done.ticket].append(time.now)
    lengths = [sorted(world.lengths(request)) for request in requests(2)]
    assert ends[first] == pytest.approx([2.0 * length for length in lengths[0]])
    start = ends[first][-1]
    assert ends[second] == pytest.approx([start + 2.0 * length for length in lengths[1]])


def test_what_is_cancelled_is_reported_with_the_tokens_it_had_and_no_time_passes() -> None:
    world, time = World(longest=100, mean=0.5), SimulatedTime()
    engine = SimulatedEngine(world, time, slots=8)
    ticket = engine.submit(requests(1)[0])
    done = engine.step()
    before = time.now
    engine.cancel(ticket)
    cancelled = engine.step()
    assert time.now == before and len(done) + len(cancelled) == 8
    assert {one.completion.finish_reason for one in cancelled} == {"cancelled"}
    assert {len(one.completion.tokens) for one in cancelled} == {int(before)}


def test_passes_take_longer_as_caches_grow_and_shorter_as_samples_end() -> None:
    """One engine, against a pass at a time."""
    world, time = World(longest=400), SimulatedTime()
    engine = SimulatedEngine(world, time, slots=8, hardware=Hardware(1, 2.0, 0.01))
    engine.submit(requests(1)[0])
    lengths = sorted(world.lengths(requests(1)[0]))
    expected, now = [], 0.0
    for written in range(max(lengths)):
        running = sum(length > written for length in lengths)
        now += 2.0 + 0.01 * running * (written + 0.5)
        expected += [now] * lengths.count(written + 1)
    ends = []
    while len(ends) < 8:
        ends += [time.now] * len(engine.step())
        ends[-1:] = [time.now] if ends else []
    assert ends == pytest.approx(expected)
    assert engine.busy_seconds == pytest.approx(time.now)


def test_groups_go_to_the_emptiest_engine_and_engines_without_samples_are_idle() -> None:
    world, time = World(longest=100), SimulatedTime()
    engine = SimulatedEngine(world, time, slots=16, hardware=Hardware(engines=2))
    asked = requests(3)
    first, second, third = (engine.submit(request) for request in asked)
    ends: dict[int, float] = {}
    left = 24
    while left:
        for done in engine.step():
            ends[done.ticket] = time.now
            left -= 1
    longest = [max(world.lengths(request)) for request in asked]
    assert (ends[first], ends[second]) == pytest.approx((longest[0], longest[1]))
    assert ends[third] == pytest.approx(min(longest[:2]) + longest[2])
    assert engine.busy_seconds == pytest.approx(sum(longest))


@pytest.mark.parametrize("link", [0.0, 0.05])
def test_an_engine_that_has_run_dry_takes_half_of_what_the_fullest_has_and_every_sample_still_ends_once(
    link: float,
) -> None:
    def play(moves: bool) -> tuple[dict[tuple[int, int], int], float, float]:
        world, time = World(longest=100), SimulatedTime()
        hardware = Hardware(4, 2.0, 0.05, link)
        engine = SimulatedEngine(world, time, slots=32, hardware=hardware, moves=moves)
        for request in requests(6):
            engine.submit(request)
        found: dict[tuple[int, int], int] = {}
        while len(found) < 48:
            for done in engine.step():
                assert (done.ticket, done.sample) not in found
                found[done.ticket, done.sample] = len(done.completion.tokens)
        return found, time.now, 1 - engine.busy_seconds / (4 * time.now)

    (stay, slow, idle), (move, fast, less) = play(False), play(True)
    assert stay == move, "the answers are the same"
    assert fast < 0.9 * slow and less < 0.7 * idle


def test_what_is_cancelled_on_its_way_is_reported_as_well() -> None:
    world, time = World(longest=100, mean=0.5), SimulatedTime()
    engine = SimulatedEngine(world, time, slots=16, hardware=Hardware(2, 2.0, 0.0, 100.0), moves=True)
    ticket = engine.submit(requests(1)[0])
    found = engine.step()
    assert engine._moving, "the other engine had nothing"
    engine.cancel(ticket)
    while len(found) < 8:
        found += engine.step()
    assert sorted(one.sample for one in found) == list(range(8))
    assert all(not replica.reserved and not replica.running for replica in engine._replicas)
