import email.utils

import pytest

from mimovl.reward.retry import RetryPolicy, retry_after_seconds


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), ("3", 3.0), (" 0 ", 0.0), ("soon", None), ("-1", None), ("", None), ("1.5", None)],
)
def test_retry_after_is_read_in_seconds(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header) == seconds


def test_retry_after_is_read_as_a_date() -> None:
    header = email.utils.formatdate(1_000_007, usegmt=True)
    assert retry_after_seconds(header, now=1_000_000.0) == 7.0
    assert retry_after_seconds(header, now=2_000_000.0) == 0.0


def test_pauses_double_up_to_a_limit_and_are_spread() -> None:
    policy = RetryPolicy(first_pause=0.1, longest_pause=1.0)
    assert [policy.pause(tries, None, spread=1.0) for tries in (1, 2, 3, 4, 5, 50)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert policy.pause(1, None, spread=0.0) == 0.05
    drawn = {policy.pause(3, None) for _ in range(20)}
    assert len(drawn) > 10 and all(0.2 <= pause <= 0.4 for pause in drawn)


def test_a_pause_is_never_shorter_than_the_service_asked_for() -> None:
    policy = RetryPolicy(longest_pause=1.0)
    assert policy.pause(1, 30.0, spread=0.0) == 30.0
    assert all(30.0 <= policy.pause(9, 30.0) <= 33.0 for _ in range(20))
