from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimovl.report import format as f

WRITERS = (
    f.integer,
    f.fixed,
    f.significant,
    f.compact,
    f.duration,
    f.percent,
    f.points,
    f.signed_fixed,
    f.learning_rate,
    f.megabytes,
    f.date,
)
ANYTHING = st.none() | st.booleans() | st.text() | st.integers() | st.floats() | st.lists(st.integers())


def plain(text: str) -> str:
    """With ordinary spaces and minus signs."""
    return text.replace("\u202f", " ").replace("\u2212", "-")


@pytest.mark.parametrize(
    ("write", "value", "expected"),
    [
        (f.integer, 12345.2, "12,345"),
        (f.fixed, 0.7312, "0.73"),
        (f.fixed, -1.5, "-1.50"),
        (f.significant, 0, "0"),
        (f.significant, 0.25, "0.25"),
        (f.significant, 1234.5, "1,234"),
        (f.significant, 2.5e-7, "2.5e-7"),
        (f.compact, 9999, "9,999"),
        (f.compact, 3_143_296, "3.14 M"),
        (f.compact, 999_900, "1 M"),
        (f.compact, 23_600_000_000, "23.6 B"),
        (f.duration, 0.31, "310 ms"),
        (f.duration, 8.44, "8.4 s"),
        (f.duration, 59.9, "1 min"),
        (f.duration, 872.4, "14 min 32 s"),
        (f.duration, 5400, "1 h 30 min"),
        (f.percent, 0.784, "78.4 %"),
        (f.points, 0.077, "+7.7"),
        (f.points, -0.021, "-2.1"),
        (f.points, -0.0001, "0.0"),
        (f.signed_fixed, 0.418, "+0.42"),
        (f.signed_fixed, -0.001, "0.00"),
        (f.learning_rate, 2e-5, "2e-5"),
        (f.learning_rate, 1.25e-3, "1.25e-3"),
        (f.megabytes, 512, "512 MB"),
        (f.megabytes, 2969.6, "2.9 GB"),
        (f.date, "2026-11-23T20:04:11+0000", "23 Nov 2026, 20:04"),
        (f.date, 0, "1 Jan 1970, 00:00"),
        (f.date, "yesterday", "yesterday"),
    ],
)
def test_numbers_read_as_people_write_them(write: object, value: object, expected: str) -> None:
    assert plain(write(value)) == expected  # type: ignore[operator]


@given(ANYTHING)
def test_whatever_a_file_holds_gives_text(value: object) -> None:
    assert all(isinstance(write(value), str) for write in WRITERS)


@pytest.mark.parametrize("value", [None, True, "3", math.nan, math.inf, 10**400])
def test_what_is_no_finite_number_is_a_dash(value: object) -> None:
    assert f.percent(value) == f.DASH
    assert f.finite(value) is None


def test_one_step_is_singular() -> None:
    assert f.plural(1, "step") == "1 step"
    assert f.plural(2, "query", "queries") == "2 queries"
