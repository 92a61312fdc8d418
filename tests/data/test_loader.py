import itertools
import threading
import time
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mimovl.data import LoaderState, Mixture, PackedLoader, indices_by_source
from mimovl.errors import DataError
from tests.data import small

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
    deadline = time.monotonic() + 10
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
