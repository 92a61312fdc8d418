import json
from collections import Counter
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimovl.data import LoaderState, Mixture, reshard
from mimovl.data.loader_state import Dropped, add_drops
from mimovl.errors import DataError

MIXTURE = Mixture({"a": range(40), "b": range(40, 70)}, {"a": 1, "b": 2}, seed=3)


def test_a_state_is_a_little_json() -> None:
    state = LoaderState(1234, (5, 6, 7), (("too_long", 3),), "f00d")
    text = json.dumps(state.state_dict())
    assert LoaderState.from_state_dict(json.loads(text)) == state
    assert len(text) < 120
    assert LoaderState.from_state_dict(LoaderState().state_dict()) == LoaderState()


@pytest.mark.parametrize("values", [{}, {"next_draw": "x", "waiting": [], "dropped": {}, "order": ""}])
def test_a_state_of_another_kind_is_refused(values) -> None:
    with pytest.raises(DataError, match="state of a loader cannot be read"):
        LoaderState.from_state_dict(values)


def test_drops_are_counted_by_reason() -> None:
    drops = [Dropped("a", "too_long", ""), Dropped("b", "corrupt_image", ""), Dropped("c", "too_long", "")]
    assert add_drops((("too_long", 2),), drops) == (("corrupt_image", 1), ("too_long", 4))


@settings(max_examples=150)
@given(
    taken=st.lists(st.integers(0, 30), min_size=1, max_size=5),
    waiting=st.lists(st.integers(0, 8), min_size=5, max_size=5),
    count=st.integers(1, 6),
)
def test_another_number_of_loaders_goes_on_with_what_was_left(taken, waiting, count) -> None:
    """Each loader packed all it drew but the last few; lanes are unequally far, as packs hold unequally many."""
    size = len(taken)
    draws = list(islice(MIXTURE.stream(), 400))
    lanes = [draws[lane::size][:number] for lane, number in enumerate(taken)]
    kept = [min(left, len(lane)) for left, lane in zip(waiting, lanes, strict=False)]
    packed = Counter(index for lane, left in zip(lanes, kept, strict=True) for index in lane[: len(lane) - left])
    states = [
        LoaderState(number, tuple(lane[len(lane) - left :]))
        for number, lane, left in zip(taken, lanes, kept, strict=True)
    ]
    after = reshard(states, count, MIXTURE)
    assert len(after) == count
    assert size == count or len({state.next_draw for state in after}) == 1
    until = max(state.next_draw for state in after) + 3
    following: Counter[int] = Counter()
    for lane, state in enumerate(after):
        following.update(state.waiting)
        following.update(draws[lane::count][state.next_draw : until])
    assert packed + following == Counter(draws[: until * count])


def test_the_same_number_of_loaders_goes_on_exactly() -> None:
    states = [LoaderState(3, (1,)), LoaderState(5)]
    assert reshard(states, 2, MIXTURE) == states


def test_counts_of_drops_are_kept_once() -> None:
    states = [LoaderState(3, (), (("too_long", 2),)), LoaderState(3, (), (("damaged", 1), ("too_long", 1)))]
    after = reshard(states, 3, MIXTURE)
    assert [state.dropped for state in after] == [(("damaged", 1), ("too_long", 3)), (), ()]


def test_states_of_different_data_are_refused() -> None:
    with pytest.raises(DataError, match="2 loaders are of 2 different orders"):
        reshard([LoaderState(order="a"), LoaderState(order="b")], 3, MIXTURE)
    with pytest.raises(DataError, match="0 states of loaders cannot be shared out among 2"):
        reshard([], 2, MIXTURE)
