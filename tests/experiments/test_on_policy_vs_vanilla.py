from __future__ import annotations

import pytest

from experiments.arms import config
from experiments.on_policy_vs_vanilla.run import ARMS, COMMON, PROMPTS, compared, gains, plateau, points


def test_both_arms_have_equal_rollouts_and_differ_in_their_updates_only() -> None:
    on_policy, vanilla = (config({**COMMON, "steps": 3}, arm) for arm in ARMS)
    assert on_policy.vanilla is None and vanilla.vanilla is not None and vanilla.vanilla.updates == PROMPTS // 2
    assert on_policy.model_copy(update={"vanilla": vanilla.vanilla}) == vanilla


def lines(rewards: list[float]) -> list[dict]:
    """Asked before every second batch of ten prompts."""
    return [
        {"step": step, "groups_sampled": 10, **({"heldout_reward": rewards[step // 2]} if step % 2 else {})}
        for step in range(1, 2 * len(rewards))
    ]


def test_a_point_stands_at_the_rollouts_that_came_before_it() -> None:
    found = points([lines([0.2, 0.4, 0.6]), lines([0.4, 0.6, 0.8])])
    assert [rollouts for rollouts, _ in found] == [0, 160, 320]
    assert [round(value.value, 6) for _, value in found] == [0.3, 0.5, 0.7]
    assert found[0][1].seeds == (0.2, 0.4)


def test_a_curve_that_levels_off_gains_nothing_after_its_middle() -> None:
    flat = plateau(points([lines([0.2, 0.5, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8])]))
    rising = plateau(points([lines([0.1 * n for n in range(9)])]))
    assert flat["gain_after_middle"] == pytest.approx(0) and rising["gain_after_middle"] == pytest.approx(0.3)


def test_curves_are_compared_seed_by_seed() -> None:
    """Each seed gains alike and ends .2 above its twin, however far seeds lie apart."""
    rising = points([lines([base + 0.1 * n for n in range(9)]) for base in (0.0, 1.0)])
    flat = points([lines([base + 0.6] * 9) for base in (0.0, 1.0)])
    assert gains(rising) == pytest.approx([0.3, 0.3]) and gains(flat) == pytest.approx([0, 0])
    found = compared(rising, flat)
    for name, value in (("at_the_end", 0.2), ("of_gains", 0.3)):
        one = found[name]
        assert (one.value, one.low, one.high) == pytest.approx((value, value, value))
