import itertools
import json
import random
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks.packing import MIXES, density, draw_lengths
from mimovl.data import PackerState, WindowPacker, pack
from mimovl.errors import DataError

LENGTH = 50
lengths = st.lists(st.integers(1, LENGTH), max_size=60)
windows = st.integers(1, 20)


def reference(lengths: list[int], max_length: int, window: int) -> list[list[int]]:
    """The rule of the packer in the fewest words: no sorted list, no clever integers."""
    packs, waiting, coming = [], [], list(range(len(lengths)))
    while waiting or coming:
        while coming and (len(waiting) < window or sum(lengths[one] for one in waiting) < max_length):
            waiting.append(coming.pop(0))
        chosen = [waiting.pop(0)]
        for index in sorted(waiting, key=lambda index: (-lengths[index], index)):
            if sum(lengths[one] for one in [*chosen, index]) <= max_length:
                chosen.append(index)
                waiting.remove(index)
        packs.append(sorted(chosen))
    return packs


def feed(packer: WindowPacker, lengths: list[int], start: int = 0) -> list[list[int]]:
    return [full for index in range(start, len(lengths)) if (full := packer.add(index, lengths[index]))]


# ---------------------------------------------------------------- what every packing keeps


@given(lengths=lengths, window=windows)
def test_every_sample_is_in_exactly_one_pack_and_no_pack_is_too_long(lengths, window):
    packs = pack(lengths, LENGTH, window=window)
    assert sorted(itertools.chain(*packs)) == list(range(len(lengths)))
    assert all(0 < sum(lengths[index] for index in chosen) <= LENGTH for chosen in packs)


@given(lengths=lengths, window=windows)
@example(lengths=[30, 20, 20, 30], window=4)
def test_a_pack_is_the_oldest_and_then_the_longest_that_fits(lengths, window):
    assert pack(lengths, LENGTH, window=window) == reference(lengths, LENGTH, window)


@given(lengths=lengths, window=windows)
def test_order_is_stable_within_packs_and_between_them(lengths, window):
    packs = pack(lengths, LENGTH, window=window)
    assert all(chosen == sorted(chosen) for chosen in packs)
    assert packs == sorted(packs)


@given(lengths=lengths)
def test_no_two_packs_could_have_been_one(lengths):
    filled = [sum(lengths[index] for index in chosen) for chosen in pack(lengths, LENGTH)]
    assert sum(2 * tokens <= LENGTH for tokens in filled) <= 1


def test_lengths_may_be_an_array():
    drawn = np.array([30, 20, 45, 5], dtype=np.int32)
    assert pack(drawn, LENGTH) == [[0, 1], [2, 3]]
    packer = WindowPacker(LENGTH)
    packer.add(drawn[0], drawn[1])
    assert json.dumps(asdict(packer.state())) == '{"num_added": 1, "waiting": [[30, 20]]}'


# ---------------------------------------------------------------- a stream


@given(lengths=lengths, window=windows)
def test_what_waits_is_less_than_the_window_or_a_pack_and_the_oldest_leaves_first(lengths, window):
    packer = WindowPacker(LENGTH, window=window)
    for index, length in enumerate(lengths):
        oldest = (*packer.state().waiting, (index, length))[0][0]
        full = packer.add(index, length)
        assert not full or full[0] == oldest
        waiting = [tokens for _, tokens in packer.state().waiting]
        assert len(waiting) < max(2, window) or sum(waiting) < LENGTH


@given(lengths=lengths, window=windows, stop=st.integers(0, 60))
def test_a_packer_restored_at_any_sample_makes_the_same_packs(lengths, window, stop):
    packer = WindowPacker(LENGTH, window=window)
    made = feed(packer, lengths[:stop])
    saved = json.loads(json.dumps(asdict(packer.state())))
    state = PackerState(saved["num_added"], tuple((index, length) for index, length in saved["waiting"]))
    restored = WindowPacker(LENGTH, window=window, state=state)
    assert restored.state() == packer.state()
    made += feed(restored, lengths, state.num_added)
    assert [*made, *restored.finish()] == pack(lengths, LENGTH, window=window)


@given(lengths=lengths, window=windows, stop=st.integers(0, 20))
def test_a_packer_restored_while_it_finishes_makes_the_same_packs(lengths, window, stop):
    packer = WindowPacker(LENGTH, window=window)
    made = [*feed(packer, lengths), *itertools.islice(packer.finish(), stop)]
    restored = WindowPacker(LENGTH, window=window, state=packer.state())
    assert [*made, *restored.finish()] == pack(lengths, LENGTH, window=window)
    assert restored.state() == PackerState(len(lengths))


def test_a_finished_packer_starts_the_next_epoch():
    packer = WindowPacker(LENGTH, window=2)
    assert [*feed(packer, [20, 40, 30]), *packer.finish()] == [[0], [1], [2]]
    assert [*feed(packer, [20, 30]), *packer.finish()] == [[0, 1]]


# ---------------------------------------------------------------- density


@pytest.mark.parametrize("max_length", MIXES)
def test_packs_of_the_documented_mixes_are_dense(max_length):
    """The aim is 98.5 %; over 30,000 samples the packs that end the stream weigh next to nothing."""
    drawn = draw_lengths(max_length, 30_000, seed=1)
    assert density(drawn, pack(drawn, max_length), max_length) > 0.99


@pytest.mark.parametrize("max_length", MIXES)
def test_density_holds_all_through_the_stream(max_length):
    """The window must not fill up with samples that fit nowhere."""
    drawn = draw_lengths(max_length, 30_000, seed=2)
    made = feed(WindowPacker(max_length), drawn)
    tail = made[-len(made) // 10 :]
    assert sum(drawn[index] for index in itertools.chain(*tail)) > 0.985 * max_length * len(tail)


@pytest.mark.parametrize("window", [1, 48, 256])
def test_packs_of_short_samples_are_full_whatever_the_window(window):
    """A window counts samples; of short ones it takes more than that to fill a pack."""
    drawn = [random.Random(0).randint(5, 60) for _ in range(20_000)]
    made = feed(WindowPacker(8192, window=window), drawn)
    assert sum(drawn[index] for index in itertools.chain(*made)) > 0.99 * 8192 * len(made)


def test_the_mixes_are_as_documented():
    for max_length, kinds in MIXES.items():
        drawn = draw_lengths(max_length, 5000)
        assert sum(kind.share for kind in kinds.values()) == pytest.approx(1)
        assert min(drawn) >= 16
        assert max(kind.visual[1] for kind in kinds.values() if kind.visual) < max(drawn) <= max_length
        assert kinds["image"].visual == (256, 4096)
    assert MIXES[32768]["video"].visual[1] == 16_384


# ---------------------------------------------------------------- what cannot be packed


def test_a_sample_longer_than_a_pack_is_named_with_both_numbers():
    with pytest.raises(DataError, match=r"sample 1 has 51 tokens, a pack holds 50 \(max_length\); raise max_length"):
        pack([3, 51, 2], LENGTH)


def test_an_empty_sample_is_named():
    with pytest.raises(DataError, match="sample 2 has 0 tokens"):
        pack([3, 5, 0], LENGTH)


def test_a_refused_sample_leaves_the_packer_as_it_was():
    packer = WindowPacker(LENGTH)
    packer.add(7, 30)
    before = packer.state()
    for length in (0, 51):
        with pytest.raises(DataError):
            packer.add(8, length)
    assert packer.state() == before
    assert packer.add(9, 20) == []
    assert list(packer.finish()) == [[7, 9]]


def test_a_state_too_wide_for_the_window_is_refused_with_both_numbers():
    state = PackerState(3, ((0, 25), (1, 25), (2, 5)))
    with pytest.raises(DataError, match="holds 3 waiting samples, a window of 3 leaves 2"):
        WindowPacker(LENGTH, window=3, state=state)


@pytest.mark.parametrize(("max_length", "window", "named"), [(0, 4, "max_length is 0"), (50, 0, "window is 0")])
def test_bounds_below_one_are_refused(max_length, window, named):
    with pytest.raises(DataError, match=named):
        WindowPacker(max_length, window=window)
