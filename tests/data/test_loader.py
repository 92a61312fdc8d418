import itertools
import multiprocessing
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.packing import MIXES, draw_lengths
from mimovl.data import LoaderState, Mixture, PackedLoader, build_index, indices_by_source, side_by_side
from mimovl.data.lengths import peek_at
from mimovl.data.workers import InProcess
from mimovl.errors import DataError, MediaError, MimovlError
from tests.data import small
from tests.data.worker_jobs import Reader

FIELDS = ("tokens", "positions", "cu_seqlens", "labels", "loss_weights", "patches", "grid_thw", "visual_index")
SAMPLES = [
    small.conversation(
        *([small.picture(28 * (1 + number % 3), 56, number)] if number % 4 else []),
        id=f"s{number}",
        question="How many red circles? " * (1 + number % 5),
        answer=str(number),
    )
    for number in range(17)
]
MIXTURE = Mixture({"even": range(0, 17, 2), "odd": range(1, 17, 2)}, {"even": 1, "odd": 2}, seed=5)
LENGTH = 160


def loader(*, length=LENGTH, mixture=MIXTURE, read=SAMPLES.__getitem__, **options):
    return PackedLoader(read, mixture, small.processor(), length, **{"window": 8, "ahead": 0, **options})


def first(made: PackedLoader, count: int):
    iterator = iter(made)
    taken = list(itertools.islice(iterator, count))
    iterator.close()
    return taken


def same(one, two) -> bool:
    (batch, state), (other, other_state) = one, two
    return (
        state == other_state
        and (batch.sample_ids, batch.sources) == (other.sample_ids, other.sources)
        and all(torch.equal(getattr(batch, name), getattr(other, name)) for name in FIELDS)
    )


def loader_threads():
    return [thread for thread in threading.enumerate() if thread.name == "packed-loader"]


def test_no_pack_is_longer_than_allowed_and_packs_are_well_filled() -> None:
    sizes = [batch.num_tokens for batch, _ in first(loader(), 40)]
    assert max(sizes) <= LENGTH
    assert sum(sizes) > 0.9 * LENGTH * len(sizes)


def test_every_draw_is_packed_once_in_about_the_order_drawn() -> None:
    packed: Counter[str] = Counter()
    for batch, state in first(loader(), 30):
        packed.update(batch.sample_ids)
        drawn = Counter(f"s{index}" for index in itertools.islice(MIXTURE.stream(), state.next_draw))
        assert drawn == packed + Counter(f"s{index}" for index in state.waiting)
        assert len(state.waiting) < 8


def test_no_sample_waits_for_ever() -> None:
    """The oldest of the window goes into the next pack, however badly it fits."""
    waiting = LoaderState().waiting
    for batch, state in first(loader(), 30):
        assert not waiting or batch.sample_ids[0] == f"s{waiting[0]}"
        waiting = state.waiting


@settings(max_examples=8)
@given(stop=st.integers(1, 12), ahead=st.sampled_from([0, 1, 3]))
def test_a_loader_resumed_at_any_batch_goes_on_to_the_bit(stop: int, ahead: int) -> None:
    whole = first(loader(), stop + 3)
    resumed = first(loader(state=whole[stop - 1][1], ahead=ahead), 3)
    assert all(same(one, two) for one, two in zip(whole[stop:], resumed, strict=True))


@pytest.mark.parametrize("ahead", [1, 4])
def test_batches_made_ahead_are_the_same(ahead: int) -> None:
    pairs = zip(first(loader(), 10), first(loader(ahead=ahead), 10), strict=True)
    assert all(same(one, two) for one, two in pairs)


def test_only_so_many_batches_are_made_ahead() -> None:
    read: list[int] = []

    def slow_consumer_read(index: int):
        read.append(index)
        return SAMPLES[index]

    iterator = iter(loader(read=slow_consumer_read, ahead=2))
    next(iterator)
    deadline = time.monotonic() + 60
    before = -1
    while before != len(read) and time.monotonic() < deadline:
        before = len(read)
        time.sleep(0.3)
    # One handed out, two ready, one in hand; the window on top.
    batches = first(loader(), 4)
    assert len(read) <= batches[-1][1].next_draw
    iterator.close()


def test_closing_ends_the_thread_even_when_it_waits_for_room() -> None:
    iterator = iter(loader(ahead=1))
    next(iterator)
    assert loader_threads()
    time.sleep(0.1)
    iterator.close()
    assert not loader_threads()


@pytest.mark.parametrize("ahead", [0, 2])
def test_a_sample_longer_than_a_pack_is_named_with_both_numbers(ahead: int) -> None:
    size = small.processor().encode(SAMPLES[4]).num_tokens
    with pytest.raises(DataError, match=rf"sample s4 has {size} tokens, a pack holds {size - 1}; .*never cut"):
        first(loader(length=size - 1, mixture=Mixture({"a": [4]}, {"a": 1}, seed=0), ahead=ahead), 1)
    assert not loader_threads()


@pytest.mark.parametrize("ahead", [0, 2])
def test_an_error_while_reading_reaches_the_consumer(ahead: int) -> None:
    def read(index: int):
        raise DataError(f"number {index} is damaged")

    with pytest.raises(DataError, match="is damaged"):
        first(loader(read=read, ahead=ahead), 1)
    assert not loader_threads()


def test_batches_before_a_bad_sample_are_handed_out_first() -> None:
    calls = itertools.count()

    def read(index: int):
        if next(calls) > 30:
            raise DataError("damaged")
        return SAMPLES[index]

    good = first(loader(), 20)
    iterator = iter(loader(read=read, ahead=3))
    seen = 0
    with pytest.raises(DataError, match="damaged"):
        for one, two in zip(iterator, good, strict=False):
            assert same(one, two)
            seen += 1
    assert seen >= 3


def test_indices_by_source() -> None:
    assert indices_by_source(["b", "a", "b"]) == {"b": [0, 2], "a": [1]}
    assert indices_by_source([]) == {}


# ---------------------------------------------------------------- packed by length, built by workers


def reader(**broken):
    return {"read": Reader(**broken)}


def only(*indices):
    return Mixture({"a": list(indices)}, {"a": 1}, seed=0)


def workers_alive() -> int:
    return sum(child.name.startswith("data-worker") for child in multiprocessing.active_children())


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_are_the_same_to_the_bit_for_any_number_of_workers(workers: int) -> None:
    here = first(loader(), 12)
    there = first(loader(workers=workers, **reader()), 12)
    assert all(same(one, two) for one, two in zip(here, there, strict=True))
    assert workers_alive() == 0


def test_batches_packed_by_an_index_of_lengths_or_by_headers_are_the_same() -> None:
    here = first(loader(), 12)
    lengths = build_index(SAMPLES, small.processor()).tokens
    for options in ({"lengths": lengths}, {"peek": lambda index: peek_at(SAMPLES, index)}):
        assert all(same(one, two) for one, two in zip(here, first(loader(**options), 12), strict=True))


def test_workers_resume_to_the_bit_what_this_process_began_and_the_other_way_round() -> None:
    whole = first(loader(), 9)
    resumed = first(loader(state=whole[3][1], workers=2, **reader()), 3)
    assert all(same(one, two) for one, two in zip(whole[4:], resumed, strict=False))
    back = first(loader(state=resumed[-1][1]), 2)
    assert all(same(one, two) for one, two in zip(whole[7:], back, strict=True))


def test_an_error_in_a_worker_arrives_as_itself_after_the_batches_before_it() -> None:
    good = first(loader(mixture=only(*range(9))), 20)
    begun = next(n for n, (batch, _) in enumerate(good) if "s2" in batch.sample_ids)
    seen = 0
    with pytest.raises(MediaError, match="sample s2, image .* the picture is damaged") as caught:
        for (batch, _), (expected, _) in zip(
            loader(mixture=only(*range(9)), workers=2, **reader(broken=(2,))), good, strict=False
        ):
            assert batch.sample_ids == expected.sample_ids
            seen += 1
    assert caught.value.reason == "corrupt_image" and seen == begun
    assert workers_alive() == 0 and not loader_threads()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_header_that_cannot_be_read_and_a_sample_too_long_arrive_as_themselves(workers: int) -> None:
    with pytest.raises(MediaError, match="sample s5, image"):
        first(loader(mixture=only(0, 5), workers=workers, **reader(headless=(5,))), 9)
    size = small.processor().encode(SAMPLES[4]).num_tokens
    with pytest.raises(DataError, match=rf"sample s4 has {size} tokens, a pack holds {size - 1}"):
        first(loader(length=size - 1, mixture=only(4), workers=workers, **reader()), 1)


def test_a_workers_death_names_the_sample_and_ends_the_others() -> None:
    with pytest.raises(MimovlError, match=r"data worker \d died \(signal SIGKILL\) while on sample number 6; if it"):
        first(loader(mixture=only(0, 6, 8), workers=2, **reader(deadly=(6,))), 30)
    assert workers_alive() == 0 and not loader_threads()


@pytest.mark.parametrize("workers", [0, 1])
def test_samples_left_out_are_counted_and_listed_and_the_others_go_on(workers: int) -> None:
    size = small.processor().encode(SAMPLES[8]).num_tokens
    kept = {n for n in range(17) if small.processor().encode(SAMPLES[n]).num_tokens <= size} - {2, 5}
    options = {
        "workers": workers,
        "length": size,
        "too_long": "drop",
        "damaged": "drop",
        "mixture": only(*range(17)),
        **reader(broken=(2,), headless=(5,)),
    }
    made = loader(**options)
    taken = first(made, 25)
    assert {name for batch, _ in taken for name in batch.sample_ids} == {f"s{n}" for n in kept}
    counts = dict(taken[-1][1].dropped)
    assert set(counts) == {"too_long", "corrupt_image", "not_an_image"}
    listed = {one.id: one for one in made.dropped}
    assert set(listed) == {f"s{n}" for n in range(17)} - {f"s{n}" for n in kept}
    too_long = next(one for one in made.dropped if one.reason == "too_long")
    real = small.processor().encode(SAMPLES[int(too_long.id[1:])]).num_tokens
    assert too_long.detail == f"{real} tokens, a pack holds {size}"
    assert "the picture is damaged" in listed["s2"].detail
    # Resumed, the counts go on, and so do the batches.
    state = taken[9][1]
    again = first(loader(**{**options, "state": state}), 15)
    assert [batch.sample_ids for batch, _ in again] == [batch.sample_ids for batch, _ in taken[10:]]
    assert again[-1][1] == taken[-1][1] and sum(dict(state.dropped).values()) > 0


def test_every_draw_is_packed_or_counted_as_left_out() -> None:
    options = {"too_long": "drop", "length": 70, "mixture": only(*range(17))}
    for batch_count in (5, 12):
        taken = first(loader(**options, **reader()), batch_count)
        state = taken[-1][1]
        packed = sum(len(batch.sample_ids) for batch, _ in taken)
        assert packed + len(state.waiting) + sum(dict(state.dropped).values()) == state.next_draw


def test_data_of_which_nothing_can_be_used_ends_with_both_numbers(monkeypatch) -> None:
    monkeypatch.setattr("mimovl.data.loader._MOST_DROPPED", 50)
    with pytest.raises(DataError, match="50 draws in a row were left out, the last one s4: .* tokens, a pack holds 20"):
        first(loader(length=20, mixture=only(4), too_long="drop"), 1)


@pytest.mark.parametrize("workers", [0, 1])
def test_data_damaged_behind_its_headers_ends_with_the_reason(monkeypatch, workers: int) -> None:
    """Headers and lengths are fine, so that every pack is planned and nothing is left of it."""
    monkeypatch.setattr("mimovl.data.loader._MOST_DROPPED", 50)
    options = {"mixture": only(2), "damaged": "drop", "peek": Reader().peek, **reader(broken=(2,))}
    with pytest.raises(DataError, match="draws in a row were left out, the last one s2: .*the picture is damaged"):
        first(loader(workers=workers, **options), 1)


def test_workers_prepare_only_so_many_batches(tmp_path: Path) -> None:
    log = tmp_path / "read.log"
    iterator = iter(loader(workers=1, ahead=2, **reader(log=str(log))))
    next(iterator)
    before = -1
    deadline = time.monotonic() + 60
    while before != (read := len(log.read_text().splitlines())) and time.monotonic() < deadline:
        before = read
        time.sleep(0.5)
    iterator.close()
    # Measured a few jobs of 32 ahead and built: one handed out, one ready, one in hand, two with the worker.
    built = first(loader(), 5)[-1][1].next_draw
    assert read <= built + 5 * 32
    assert workers_alive() == 0


@pytest.mark.parametrize("max_length", MIXES)
def test_packs_of_the_stream_are_filled_to_more_than_98_and_a_half_percent(max_length: int) -> None:
    """On the documented length mixes, with the window of a stage that loads by length."""
    lengths = draw_lengths(max_length, 6000)
    mixture = Mixture({"a": range(3000), "b": range(3000, 6000)}, {"a": 1, "b": 1}, seed=0)
    made = loader(length=max_length, mixture=mixture, lengths=lengths, window=256)
    packs = list(itertools.islice(made.packs(made.measured(InProcess(made.work))), 400))
    filled = sum(lengths[index] for _, pack, _ in packs for index, _ in pack)
    assert filled / (max_length * len(packs)) >= 0.985
    waits = [[lengths[index] for index in state.waiting] for _, _, state in packs]
    assert all(len(waiting) < 256 or sum(waiting) < max_length for waiting in waits)


# ---------------------------------------------------------------- several lanes, one pool


@pytest.mark.parametrize("options", [{}, {"ahead": 2}, {"workers": 2, "ahead": 5}, {"workers": 1, "ahead": 1}])
def test_loaders_side_by_side_give_what_each_would_alone(options) -> None:
    lanes = [(lane, 3) for lane in range(3)]
    alone = [first(loader(lane=lane), 4) for lane in lanes]
    steps = side_by_side([loader(lane=lane, **reader(), **options) for lane in lanes])
    for step in range(4):
        assert all(same(one, alone[lane][step]) for lane, one in enumerate(next(steps)))
        assert workers_alive() == options.get("workers", 0)
    steps.close()
    assert workers_alive() == 0 and not loader_threads()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_pack_of_which_nothing_is_left_is_passed_over_in_its_own_lane(workers: int) -> None:
    """Every second pack holds one damaged sample alone: lengths are such that no two share a pack."""
    longest = max(small.processor().encode(Reader()(n)).num_tokens for n in (2, 9))
    lanes = [
        loader(
            mixture=only(2, 9), length=longest, damaged="drop", workers=workers, lane=(lane, 2), window=2,
            peek=Reader().peek, **reader(broken=(2,)),
        )
        for lane in range(2)
    ]  # fmt: skip
    steps = list(itertools.islice(side_by_side(lanes), 5))
    assert all(batch.sample_ids == ["s9"] for step in steps for batch, _ in step)
    for _, state in steps[-1]:
        assert dict(state.dropped)["corrupt_image"] >= 3 or state.next_draw < 8
