from __future__ import annotations

from mimovl.rl.usage import Usage


def test_an_engine_is_busy_while_a_sample_runs_and_slots_are_filled_while_samples_run_in_them() -> None:
    now = 0.0
    usage = Usage(4, lambda: now)
    now = 10.0
    usage.worked(6.0, 2)
    usage.worked(8.0, 9)
    usage.tokens += 5
    assert usage.figures() == (6.0, 4.0 * 2 / 4 + 2.0, 10.0, 5)
