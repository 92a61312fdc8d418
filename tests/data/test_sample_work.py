import multiprocessing
import os

import pytest
import torch

from mimovl.data import count_tokens
from mimovl.data.sample_work import Measured, SampleWork, unpack_batch
from mimovl.data.shared_memory import receive, send
from mimovl.errors import DataError, MediaError
from tests.data import small
from tests.data.worker_jobs import Reader

FIELDS = ("tokens", "positions", "cu_seqlens", "labels", "loss_weights", "patches", "grid_thw", "visual_index")
READER = Reader(broken=(2,), headless=(5,))
NOTES: list[str] = []


def work(length=400, **policy):
    return SampleWork(READER, small.processor(), length, **policy)


def quiet(_: str) -> None:
    pass


def lengths(*indices):
    return [(index, count_tokens(small.processor(), READER(index))) for index in indices]


def test_a_measured_sample_has_the_tokens_of_the_encoded_one() -> None:
    one = work()
    for index in (0, 1, 6):
        assert one.measure(index, quiet) == Measured(index, one.encode(index, quiet).num_tokens)


def test_what_is_worked_on_is_noted_with_its_id() -> None:
    notes: list[str] = []
    work().usable(lengths(1, 3), notes.append)
    assert notes == ["sample number 1", "sample s1 (number 1)", "sample number 3", "sample s3 (number 3)"]
    notes.clear()
    work().measure(7, notes.append)
    assert notes == ["sample number 7", "sample s7 (number 7)"]


def test_a_built_pack_is_the_samples_end_to_end_and_survives_its_way() -> None:
    one = work()
    values, dropped = one("build", lengths(0, 1, 3), quiet)
    here = unpack_batch(values)
    sender, receiver = multiprocessing.get_context("spawn").Pipe(duplex=True)
    send(sender, values, os.getpid())
    batch = unpack_batch(receive(receiver))
    whole = small.batch([small.processor().encode(READER(index)) for index in (0, 1, 3)])
    assert batch.sample_ids == ["s0", "s1", "s3"] and batch.sources == ["test"] * 3 and dropped == []
    assert all(torch.equal(getattr(one, name), getattr(whole, name)) for one in (here, batch) for name in FIELDS)


def test_a_sample_longer_than_a_pack_is_refused_or_dropped_with_both_numbers() -> None:
    size = count_tokens(small.processor(), READER(4))
    refused = work(size - 1).measure(4, quiet)
    assert str(refused.error).startswith(f"sample s4 has {size} tokens, a pack holds {size - 1}; ")
    dropped = work(size - 1, too_long="drop").measure(4, quiet).dropped
    assert (dropped.id, dropped.reason) == ("s4", "too_long")
    assert dropped.detail == f"{size} tokens, a pack holds {size - 1}"
    assert work(size).measure(4, quiet).tokens == size


def test_a_damaged_sample_is_refused_or_dropped_with_its_reason() -> None:
    for index, reason in ((2, "corrupt_image"), (5, "not_an_image")):
        with pytest.raises(MediaError, match=f"sample s{index}, image"):
            work().usable([(index, 1)], quiet)
        values, (dropped,) = work(damaged="drop")("build", [(index, 1)], quiet)
        assert values is None and (dropped.id, dropped.reason) == (f"s{index}", reason)
    assert work().measure(5, quiet).error.reason == "not_an_image"
    assert work(damaged="drop").measure(5, quiet).dropped.id == "s5"


def test_the_rest_of_a_pack_is_built_without_a_dropped_sample() -> None:
    samples, dropped = work(damaged="drop").usable([*lengths(0), (2, 60), *lengths(3)], quiet)
    assert [one.id for one in samples] == ["s0", "s3"] and [one.id for one in dropped] == ["s2"]


def test_a_length_that_is_not_the_real_one_is_refused_with_both_numbers() -> None:
    ((index, tokens),) = lengths(1)
    with pytest.raises(DataError, match=rf"sample s1 has {tokens} tokens, its index of lengths says 9; .*lengths/"):
        work(damaged="drop").usable([(index, 9)], quiet)


def test_media_that_are_not_what_their_headers_promise_are_refused_or_dropped_with_both_numbers() -> None:
    """Counted from the headers or by an index made from them; making the index again would not help."""

    class Promising(SampleWork):
        def measure(self, index, note):
            return Measured(index, 9)

    ((index, tokens),) = lengths(1)
    message = f"sample s1 has {tokens} tokens once decoded, the headers of its media promise 9; "
    with pytest.raises(DataError, match=message):
        Promising(READER, small.processor(), 400).usable([(index, 9)], quiet)
    samples, (dropped,) = Promising(READER, small.processor(), 400, damaged="drop").usable([(index, 9)], quiet)
    assert samples == [] and dropped.id == "s1" and dropped.detail.startswith(message)
