import pickle
import threading
import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimovl.data.block_order import BlockOrder
from mimovl.errors import DataError

KEY = (7, 1, 0, 0)


def epoch(order: BlockOrder, key=KEY) -> list[int]:
    return [order.pick(key, place) for place in range(len(order))]


def order(counts, *, sizes=None, **options) -> BlockOrder:
    return BlockOrder([0, *np.cumsum(counts).tolist()], sizes or [0] * len(counts), **options)


groups = st.lists(st.integers(0, 30), min_size=1, max_size=20).filter(any)


@settings(max_examples=80)
@given(counts=groups, rows=st.integers(1, 60), offset=st.integers(0, 1000), seed=st.integers(0, 5))
def test_an_epoch_is_every_sample_once(counts, rows, offset, seed):
    one = order(counts, rows=rows, offset=offset)
    assert sorted(epoch(one, (seed, 0))) == list(range(offset, offset + sum(counts)))


@settings(max_examples=60)
@given(counts=groups, rows=st.integers(1, 60), data=st.data())
def test_a_place_is_the_same_sample_whatever_was_asked_before(counts, rows, data):
    whole = epoch(order(counts, rows=rows))
    fresh = order(counts, rows=rows)
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=20)):
        assert fresh.pick(KEY, place) == whole[place]


@settings(max_examples=60)
@given(counts=groups, rows=st.integers(1, 60))
def test_no_more_than_the_buffer_is_read_at_a_time(counts, rows):
    """Reading sample by sample, the row groups begun and not finished hold no more than the buffer and one group."""
    starts = [0, *np.cumsum(counts).tolist()]
    group_of = [group for group, count in enumerate(counts) for _ in range(count)]
    left = dict(enumerate(counts))
    open_groups: set[int] = set()
    for row in epoch(order(counts, rows=rows)):
        open_groups.add(group_of[row])
        left[group_of[row]] -= 1
        assert sum(counts[group] for group in open_groups) < rows + max(counts)
        open_groups = {group for group in open_groups if left[group]}
    assert starts[-1] == len(group_of)


class Yielding(int):
    """Lets another thread go on wherever it is looked up."""

    def __hash__(self):
        time.sleep(0)
        return int(self)


def test_threads_that_share_one_draw_what_each_would_alone():
    one, lanes, errors = order([4] * 60, rows=8), 8, []
    alone = epoch(order([4] * 60, rows=8))
    drawn = [[] for _ in range(lanes)]

    def draw(lane):
        try:  # each begins elsewhere: more blocks at once than are remembered
            for place in range(len(alone)):
                drawn[lane].append(one.pick((Yielding(7), *KEY[1:]), (place + 30 * lane) % len(alone)))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=draw, args=(lane,)) for lane in range(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert drawn == [alone[30 * lane :] + alone[: 30 * lane] for lane in range(lanes)]


def test_it_goes_to_another_process_while_it_is_in_use():
    one = order([4] * 20, rows=8)
    first = one.pick(KEY, 0)
    again = pickle.loads(pickle.dumps(one))
    assert again.pick(KEY, 0) == first and epoch(again) == epoch(one)


def test_a_block_is_closed_by_bytes_too():
    one = order([10] * 12, sizes=[100] * 12, rows=10**6, size=250)
    read = [row // 10 for row in epoch(one)]
    blocks = [set(read[start : start + 30]) for start in range(0, 120, 30)]
    assert all(len(block) == 3 for block in blocks) and len(set.union(*blocks)) == 12


def test_samples_are_shuffled_across_the_row_groups_of_a_block_and_anew_each_epoch():
    one = order([16] * 16, rows=64)
    first, second = epoch(one), epoch(one, (7, 1, 0, 1))
    assert first != second and first == epoch(one) != sorted(first)
    assert len({row // 16 for row in first[:64]}) == 4
    neighbours = sum(b == a + 1 for a, b in pairwise(first))
    assert neighbours < 16
    assert {row // 16 for row in first[:64]} != {row // 16 for row in second[:64]}


def test_a_buffer_of_the_whole_source_is_a_full_shuffle():
    places = np.argsort(epoch(order([10] * 100, rows=1000)))
    # Of a uniform shuffle the rank correlation with the order on the disk is 0 within 1/√1000 standard deviations.
    assert abs(np.corrcoef(places, np.arange(1000))[0, 1]) < 4 / 1000**0.5


@pytest.mark.parametrize("bound", ["rows", "size"])
def test_a_buffer_of_nothing_is_refused(bound):
    with pytest.raises(DataError, match="both are 1 or more"):
        order([3], **{bound: 0})
