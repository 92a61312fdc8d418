from __future__ import annotations

from mimovl.rl.usage import Usage


def test_slots_count_as_busy_while_samples_run_in_them_and_never_more_than_there_are() -> None:
    now = 0.0
    usage = Usage(4, lambda: now)
    now = 10.0
    usage.worked(6.0, 2)
    usage.worked(8.0, 9)
    usage.tokens += 5
    assert usage.figures() == (2 * 4.0 + 4 * 2.0, 40.0, 5)
