from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mimovl.report.scale import linear_scale, log_scale, smooth, smooth_pieces, thin

VALUES = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20)


@given(VALUES, st.booleans())
@example([5e-324], False)
def test_any_values_get_a_finite_axis_with_ticks_inside(values: list[float], log: bool) -> None:
    scale = log_scale(values, 100.0, 0.0) if log else linear_scale(values, 100.0, 0.0)
    assert scale.low < scale.high
    assert 1 <= len(scale.ticks) <= 12
    assert all(-1e-6 <= scale(value) <= 100 + 1e-6 for value in [*values, *scale.ticks])


def test_ticks_stand_at_round_numbers() -> None:
    assert linear_scale([0.03, 0.97], 0, 1).ticks == pytest.approx((0, 0.25, 0.5, 0.75, 1))
    assert log_scale([3e-8, 1e-5], 0, 1).ticks == pytest.approx((1e-5, 1e-6, 1e-7, 1e-8))


def test_equal_values_still_have_an_axis() -> None:
    scale = linear_scale([2.0, 2.0], 0, 1)
    assert scale.low <= 2 <= scale.high


def test_a_constant_stays_constant_when_smoothed() -> None:
    points = [(float(step), 0.7) for step in range(1000)]
    assert {round(y, 9) for _, y in smooth(points)} == {0.7}


def test_smoothing_does_not_lag() -> None:
    points = [(float(step), float(step >= 100)) for step in range(200)]
    crossing = next(x for x, y in smooth(points) if y >= 0.5)
    assert abs(crossing - 100) <= 2


def test_logarithmic_smoothing_is_not_drawn_up_by_one_spike() -> None:
    points = [(float(step), 1e-3 if step == 50 else 1e-7) for step in range(100)]
    assert max(y for _, y in smooth(points, log=True)) < 1e-5


def test_smoothing_keeps_to_its_stage() -> None:
    points = [(float(step), 1.0 if step <= 50 else 0.0) for step in range(1, 101)]
    first, second = smooth_pieces(points, [50.0])
    assert {y for _, y in first} == {1.0}
    assert {y for _, y in second} == {0.0}


def test_thinning_keeps_spikes() -> None:
    points = [(float(step), 9.0 if step == 777 else 1.0) for step in range(10_000)]
    kept = thin(points, 240)
    assert len(kept) <= 260
    assert (777.0, 9.0) in kept
    assert kept == sorted(kept)
