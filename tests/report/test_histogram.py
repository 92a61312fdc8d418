"""Histograms: every value in one bin, bins that fit the values, and nothing drawn of nothing."""

from __future__ import annotations

import re

import pytest

from mimovl.report.histogram import bins_of, histogram


@pytest.mark.parametrize(
    "values", [[3], [3, 3], [0, 1, 2, 2], [0, 1000], [1, 2, 1e6], [0.5, 0.7, 0.9], [0, 0, 5e9], list(range(100))]
)
def test_every_value_is_in_one_bin(values: list[float]) -> None:
    edges, counts, _ = bins_of(values)
    assert sum(counts) == len(values) and len(edges) == len(counts) + 1
    assert edges[0] <= min(values) and edges[-1] >= max(values) * (1 - 1e-9) and sorted(edges) == edges


def test_whole_numbers_get_a_bin_each_and_wide_spreads_growing_ones() -> None:
    edges, counts, grows = bins_of([1, 1, 2, 5])
    assert counts == [2, 1, 0, 0, 1] and edges[0] == 0.5 and not grows
    edges, _, grows = bins_of([2, 2000])
    assert grows and edges[1] / edges[0] == pytest.approx(edges[5] / edges[4])
    assert not bins_of([0, 2000])[2]


def test_a_bar_stands_for_each_filled_bin_and_says_its_count() -> None:
    chart = histogram("lengths", [1, 1, 2, 5], unit="<turns>")
    assert chart is not None
    assert re.findall(r"<title>(\d+): ([\d.]+)", chart) == [("2", "1"), ("1", "2"), ("1", "5")]
    assert "<turns>" not in chart and "&lt;turns&gt;" in chart
    assert histogram("nothing", []) is None
