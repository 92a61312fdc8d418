import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimovl.evaluate.statistics import (
    bootstrap_mean,
    bootstrap_mean_of_groups,
    clustered_proportion,
    wilson_interval,
)


def test_wilson_gives_the_published_values() -> None:
    # Newcombe (1998), Statistics in Medicine 17:857-872, table I
    assert wilson_interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15 / 148, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson_interval(0 / 20, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(1 / 29, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


@given(st.integers(0, 200), st.integers(1, 200))
def test_wilson_holds_the_proportion_and_stays_in_bounds(successes: int, extra: int) -> None:
    n = successes + extra
    low, high = wilson_interval(successes / n, n)
    assert 0 <= low <= successes / n <= high <= 1


def test_without_observations_nothing_is_known() -> None:
    assert wilson_interval(0.0, 0) == (0.0, 1.0)
    assert clustered_proportion([], []).interval == (0.0, 1.0)
    assert bootstrap_mean([], []).interval == (0.0, 1.0)


def test_independent_questions_have_the_plain_interval() -> None:
    values = [1.0] * 30 + [0.0] * 10
    assert clustered_proportion(values, range(40)).interval == wilson_interval(0.75, 40)


def test_a_question_asked_twice_of_each_scene_teaches_nothing_new() -> None:
    values = [1.0] * 30 + [0.0] * 10
    once, twice = clustered_proportion(values, range(40)), clustered_proportion(values * 2, [*range(40)] * 2)
    assert twice.n == 80 and twice.clusters == 40
    assert twice.high - twice.low >= once.high - once.low
    plain = clustered_proportion(values * 2, range(80))
    assert plain.high - plain.low < 0.75 * (twice.high - twice.low)


def test_all_right_in_few_scenes_is_not_certain() -> None:
    assert clustered_proportion([1.0] * 100, [i // 10 for i in range(100)]).interval == wilson_interval(1.0, 10)


def test_one_cluster_says_nothing_about_a_mean() -> None:
    assert bootstrap_mean([0.5, 0.7], ["a", "a"]).interval == (0.0, 1.0)
    assert bootstrap_mean([0.5], ["a"], bounds=(-1.0, 1.0)).interval == (-1.0, 1.0)


def test_the_same_seed_gives_the_same_interval_and_another_a_near_one() -> None:
    values = np.random.default_rng(0).random(200).tolist()
    first = bootstrap_mean(values, range(200), seed=1)
    assert first == bootstrap_mean(values, range(200), seed=1)
    other = bootstrap_mean(values, range(200), seed=2)
    assert other != first and other.low == pytest.approx(first.low, abs=0.01)


def test_chunks_of_resamples_do_not_change_their_law(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(300).tolist()
    whole = bootstrap_mean(values, range(300))
    monkeypatch.setattr("mimovl.evaluate.statistics.CHUNK_ELEMENTS", 1000)
    assert bootstrap_mean(values, range(300)) == whole


def test_weights_make_a_ratio() -> None:
    estimate = bootstrap_mean([1.0, 0.5, 0.0], ["a", "b", "c"], weights=[1, 2, 7])
    assert estimate.value == pytest.approx(0.2)


def test_groups_count_alike_whatever_their_size() -> None:
    estimate = bootstrap_mean_of_groups([1.0, 0.0, 0.0, 0.0], ["a", "b", "b", "b"], range(4))
    assert estimate.value == 0.5 and 0 <= estimate.low <= 0.5 <= estimate.high <= 1


def test_mismatched_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="2 values but 3 clusters"):
        bootstrap_mean([1.0, 2.0], [1, 2, 3])


def clustered_draws(
    rng: np.random.Generator, scenes: int, questions: int, spread: float
) -> tuple[np.ndarray, list[int]]:
    """Scene difficulties around 0.7, and answers 0 or 1 to several questions of each scene."""
    chance = np.clip(0.7 + spread * rng.standard_normal(scenes), 0, 1)
    return (rng.random((scenes, questions)) < chance[:, None]).astype(float).ravel(), np.repeat(
        np.arange(scenes), questions
    ).tolist()


@pytest.mark.parametrize("spread", [0.0, 0.3])
def test_intervals_cover_the_truth_about_95_times_in_100(spread: float) -> None:
    rng = np.random.default_rng(7)
    truth = float(np.clip(0.7 + spread * np.random.default_rng(1).standard_normal(10**6), 0, 1).mean())
    runs, wilson, boot, naive = 400, 0, 0, 0
    for seed in range(runs):
        values, scenes = clustered_draws(rng, scenes=60, questions=5, spread=spread)
        low, high = clustered_proportion(values.tolist(), scenes).interval
        wilson += low <= truth <= high
        low, high = bootstrap_mean(values.tolist(), scenes, seed=seed, resamples=400).interval
        boot += low <= truth <= high
        low, high = wilson_interval(float(values.mean()), len(values))
        naive += low <= truth <= high
    # the standard error of a coverage over 400 runs is 1.1 points
    assert 0.93 <= wilson / runs <= 0.985
    assert 0.91 <= boot / runs <= 0.985
    if spread:
        assert naive / runs < 0.9, "ignoring the scenes would have been too sure"


def test_a_paired_difference_of_equal_models_is_found_about_5_times_in_100() -> None:
    rng = np.random.default_rng(11)
    found = 0
    for seed in range(400):
        before, scenes = clustered_draws(rng, scenes=80, questions=3, spread=0.3)
        flips = rng.random(before.shape) < 0.2
        after = np.where(flips, (rng.random(before.shape) < before.mean()).astype(float), before)
        low, high = bootstrap_mean((after - before).tolist(), scenes, bounds=(-1, 1), seed=seed, resamples=400).interval
        found += low > 0 or high < 0
    assert 0.02 <= found / 400 <= 0.085
