import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimovl.rl import group_advantages, is_informative

rewards = st.lists(st.floats(0, 1), min_size=2, max_size=16)


@given(rewards)
def test_advantages_have_mean_zero_and_deviation_one_or_are_all_zero(values: list[float]) -> None:
    advantages = group_advantages(values)
    assert len(advantages) == len(values)
    if is_informative(values):
        assert statistics.fmean(advantages) == pytest.approx(0, abs=1e-6)
        assert statistics.stdev(advantages) == pytest.approx(1, rel=1e-6)
        in_order = [advantage for _, advantage in sorted(zip(values, advantages, strict=True))]
        assert in_order == sorted(advantages)
    else:
        assert advantages == [0.0] * len(values)


def test_advantages_by_hand() -> None:
    assert group_advantages([1.0, 0.0]) == pytest.approx([0.5**0.5, -(0.5**0.5)])
    assert group_advantages([1.0, 0.0, 0.0, 0.0]) == pytest.approx([1.5, -0.5, -0.5, -0.5])


@pytest.mark.parametrize("value", [0.0, 1.0, 1 / 3])
def test_equal_rewards_have_no_advantage(value: float) -> None:
    """1/3 summed and divided does not come out even; the residue must not be blown up to an advantage of one."""
    assert group_advantages([value] * 7) == [0.0] * 7


@given(st.lists(st.booleans(), min_size=2, max_size=16))
def test_of_right_and_wrong_exactly_the_prompts_neither_always_nor_never_solved_teach(right: list[bool]) -> None:
    assert is_informative([float(one) for one in right]) == (0 < sum(right) < len(right))


def test_a_spread_below_the_bound_teaches_nothing() -> None:
    assert not is_informative([0.5, 0.5005])
    assert is_informative([0.5, 0.502])
    assert not is_informative([0.5, 0.502], spread=0.01)


def test_a_single_rollout_teaches_nothing() -> None:
    assert group_advantages([0.7]) == [0.0]
