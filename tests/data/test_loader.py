import itertools
import threading
import time

import pytest
import torch

from mimovl.data import LoaderState, Mixture, PackedLoader, indices_by_source
from mimovl.errors import DataError, MediaError
from mimovl.types import Sample
from tests.data import small

PROCESSOR = small.processor()
SAMPLES = [
    *(small.conversation(small.picture(56 + 28 * (n % 4), 56, n), id=f"picture-{n}") for n in range(12)),
    *(small.conversation(id=f"text-{n}", answer="There are 3 red circles. " * (1 + n % 5)) for n in range(12)),
]
SOURCES = ["pictures"] * 12 + ["texts"] * 12


def mixture(seed=0):
    return Mixture(indices_by_source(SOURCES), {"pictures": 1.0, "texts": 2.0}, seed=seed)


def loader(read=SAMPLES.__getitem__, **options):
    return PackedLoader(read, mixture(), PROCESSOR, 200, **{"window": 8, "ahead": 0, **options})


def take(batches, count):
    iterator = iter(batches)
    try:
        return list(itertools.islice(iterator, count))
    finally:
        iterator.close()


def same(one, other):
    return one.sample_ids == other.sample_ids and all(
        torch.equal(getattr(one, name), getattr(other, name)) for name in ("tokens", "positions", "labels", "patches")
    )


def test_no_pack_is_longer_than_asked_and_most_are_nearly_full():
    batches = [batch for batch, _ in take(loader(), 60)]
    assert all(batch.num_tokens <= 200 for batch in batches)
    assert sum(batch.num_tokens for batch in batches) / (200 * 60) > 0.85


def test_every_draw_of_the_mixture_is_packed_once_or_still_waits():
    batches = take(loader(), 40)
    packed = [name for batch, _ in batches for name in batch.sample_ids]
    state = batches[-1][1]
    drawn = [SAMPLES[index].id for index in itertools.islice(mixture().stream(), state.next_draw)]
    waiting = [SAMPLES[index].id for index in state.waiting]
    assert sorted(packed + waiting) == sorted(drawn)
    assert len(state.waiting) < 8


@pytest.mark.parametrize("ahead", [0, 3])
@pytest.mark.parametrize("stop", [1, 7, 20])
def test_resuming_gives_exactly_the_batches_that_would_have_come(ahead, stop):
    whole = take(loader(), stop + 10)
    resumed = take(loader(state=whole[stop - 1][1], ahead=ahead), 10)
    for (one, state), (other, again) in zip(whole[stop:], resumed, strict=True):
        assert same(one, other)
        assert state == again


def test_a_background_thread_gives_the_same_batches():
    for (one, state), (other, again) in zip(take(loader(), 20), take(loader(ahead=4), 20), strict=True):
        assert same(one, other)
        assert state == again


def test_the_background_thread_stays_a_bounded_number_of_batches_ahead():
    read = []
    iterator = iter(loader(lambda index: read.append(index) or SAMPLES[index], ahead=2))
    next(iterator)
    time.sleep(0.3)
    settled = len(read)
    time.sleep(0.2)
    assert len(read) == settled < 60
    iterator.close()


def test_the_background_thread_ends_with_its_iterator():
    iterator = iter(loader(ahead=2))
    next(iterator)
    assert any(thread.name == "packed-loader" for thread in threading.enumerate())
    iterator.close()
    assert not any(thread.name == "packed-loader" for thread in threading.enumerate())


@pytest.mark.parametrize("ahead", [0, 3])
def test_a_sample_longer_than_a_pack_is_named_with_both_numbers(ahead):
    long = small.conversation(id="panorama", answer="circle " * 300)
    with pytest.raises(DataError, match=r"sample panorama has \d{3,} tokens, a pack holds 200; .*never cut"):
        take(loader(lambda index: long if index == 5 else SAMPLES[index], ahead=ahead), 100)


@pytest.mark.parametrize("ahead", [0, 3])
def test_errors_of_reading_and_encoding_reach_the_consumer(ahead):
    def broken(index):
        return Sample("bad", small.conversation(small.picture(60, 90)).messages) if index == 3 else SAMPLES[index]

    with pytest.raises(DataError, match="sample bad: image .* not in the sample"):
        take(loader(broken, ahead=ahead), 100)
    with pytest.raises(MediaError):
        take(loader(lambda index: small.conversation(DAMAGED), ahead=ahead), 1)


DAMAGED = type(picture := small.picture(60, 90))(picture.sha256, "image", b"?", 60, 90)


def test_a_fresh_state_is_the_beginning():
    (one, _), (other, _) = take(loader(state=LoaderState()), 1)[0], take(loader(), 1)[0]
    assert same(one, other)


def test_indices_are_grouped_by_source():
    assert indices_by_source(["a", "b", "a"]) == {"a": [0, 2], "b": [1]}
