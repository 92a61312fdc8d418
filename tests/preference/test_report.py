import json
import math

import numpy as np
import pytest

from mimovl.errors import DataError
from mimovl.preference.report import Judged, calibration_error, report_text, reward_report


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, dtype=float)))


def judged(first: float, second: float, lengths=(5, 5), *, cluster="", tie=False, set="fair", source="a") -> Judged:
    judged.count += 1
    return Judged(
        str(judged.count), source, set, cluster or str(judged.count), tie, first, second, lengths[0], lengths[1]
    )


judged.count = 0


def test_accuracy_and_the_longer_answer_by_hand() -> None:
    pairs = [
        judged(2, 1, (9, 5)),
        judged(2, 1, (5, 9), set="longer_wrong"),
        judged(1, 2, (5, 9), source="b"),
        judged(3, 1, (5, 5)),
        judged(0, 0, (9, 5)),  # no higher reward is no right answer
    ]
    report = reward_report(pairs, sigmoid)
    assert report["pairs"] == 5 and report["ties"] == 0
    assert report["accuracy"]["value"] == pytest.approx(3 / 5)
    assert report["always_longer"]["value"] == pytest.approx((1 + 0 + 0 + 0.5 + 1) / 5)
    assert report["gain_over_longer"]["value"] == pytest.approx((0 + 1 + 0 + 0.5 - 1) / 5)
    assert report["by_set"]["longer_wrong"]["accuracy"]["value"] == 1
    assert report["by_source"]["b"]["accuracy"]["value"] == 0
    low, high = report["accuracy"]["interval"]
    assert low < 3 / 5 < high
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_pairs_of_one_scene_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    right = rng.random(40) < 0.8
    alone = [judged(*(1, 0) if good else (0, 1)) for good in right for _ in range(4)]
    together = [
        judged(*(1, 0) if good else (0, 1), cluster=str(number)) for number, good in enumerate(right) for _ in range(4)
    ]
    width = [np.diff(reward_report(pairs, sigmoid)["accuracy"]["interval"])[0] for pairs in (alone, together)]
    assert width[1] > 1.6 * width[0]


def test_a_calibrated_model_has_little_error_and_one_too_sure_of_itself_much() -> None:
    rng = np.random.default_rng(1)
    difference = rng.normal(0, 2, 4000)
    first_wins = rng.random(4000) < sigmoid(difference)
    signed = np.where(first_wins, difference, -difference)
    right, clusters = (signed > 0).astype(float), [str(number) for number in range(4000)]
    good = calibration_error(sigmoid(signed), right, clusters)
    bad = calibration_error(sigmoid(5 * signed), right, clusters)
    assert good.value < 0.03 and good.low <= good.value <= good.high
    # the textbook's words: mean over bins of |accuracy − confidence|, weighted by size
    sure = np.maximum(sigmoid(5 * signed), 1 - sigmoid(5 * signed))
    expected = 0.0
    for low in np.arange(0.5, 1, 0.05):
        inside = (sure >= low) & (sure < low + 0.05) if low < 0.94 else sure >= low
        expected += inside.mean() * abs(right[inside].mean() - sure[inside].mean()) if inside.any() else 0
    assert bad.value == pytest.approx(expected, abs=1e-3) and bad.value > 0.1


def test_the_reliability_table_holds_every_decided_pair_and_the_temperature_mends_it() -> None:
    rng = np.random.default_rng(2)
    difference = rng.normal(0, 2, 1000)
    signed = np.where(rng.random(1000) < sigmoid(difference), difference, -difference)
    pairs = [judged(3 * float(one), 0.0) for one in signed]
    found = reward_report(pairs, lambda d: sigmoid(d / 3))["calibration"]
    assert sum(row["pairs"] for row in found["reliability"]) == 1000
    assert found["expected_calibration_error"]["value"] < 0.05 < 0.1 < found["before_fitting"]["value"]
    assert all(row["interval"][0] <= row["was"] <= row["interval"][1] for row in found["reliability"])
    assert found["log_loss"]["value"] == pytest.approx(float(-np.log(sigmoid(signed)).mean()), abs=1e-3)


def lengthy(taste: float, count: int = 400) -> list[Judged]:
    """A model whose reward is a little truth and ``taste`` times the length, on pairs where length tells nothing."""
    rng = np.random.default_rng(3)
    pairs = []
    for number in range(count):
        lengths = (5, 9) if number % 2 else (9, 5)
        noise = rng.normal(0, 1, 2)
        pairs.append(judged(1 + taste * lengths[0] + noise[0], taste * lengths[1] + noise[1], lengths))
    ties = [judged(taste * 9 + rng.normal(), taste * 5 + rng.normal(), (9, 5), tie=True) for _ in range(count // 2)]
    return [*pairs, *ties]


def test_a_taste_for_length_is_seen_and_its_absence_too() -> None:
    plain, fond = (reward_report(lengthy(taste), sigmoid) for taste in (0.0, 0.5))
    low, high = plain["length"]["taste_for_length"]["interval"]
    assert low < 0 < high
    assert plain["length"]["longer_wins_ties"]["value"] == pytest.approx(0.5, abs=0.08)
    assert fond["length"]["taste_for_length"]["interval"][0] > 0.1
    assert fond["length"]["longer_wins_ties"]["interval"][0] > 0.7
    assert (
        fond["length"]["accuracy_better_is_longer"]["value"]
        > fond["length"]["accuracy_better_is_shorter"]["value"] + 0.3
    )
    assert fond["ties"] == 200


def test_ties_alone_are_refused() -> None:
    with pytest.raises(DataError, match="1 held-out pairs, all of them ties"):
        reward_report([judged(1, 0, tie=True)], sigmoid)


def test_the_text_shows_each_figure_with_its_interval() -> None:
    text = report_text(reward_report(lengthy(0.1), sigmoid))
    for name in ("accuracy", "always the longer answer", "calibration error (ECE)", "taste for length"):
        [line] = [line for line in text.splitlines() if line.startswith(name)]
        assert "[" in line and "n=" in line
    assert math.isfinite(float(text.splitlines()[1].split()[1]))
