import json
import os
import signal
import sys

import pytest

from mimovl.reward.supervisor import CPU_TIME, WorkerSpec, why_ended
from mimovl.reward.worker import OUT_OF_MEMORY


def status_of(code: str) -> int:
    """What waitpid says of a real process."""
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", code], os.environ)
    return os.waitpid(pid, 0)[1]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("import signal; signal.setitimer(signal.ITIMER_PROF, 0.05)\nwhile True: pass", CPU_TIME),
        (f"raise SystemExit({OUT_OF_MEMORY})", "out of memory"),
        ("raise SystemExit(3)", "exit status 3"),
        ("pass", "exit status 0"),
    ],
)
def test_why_a_process_ended_is_said_in_words(code: str, reason: str) -> None:
    assert why_ended(status_of(code)) == reason


def test_a_real_time_signal_is_a_number() -> None:
    number = signal.SIGRTMIN + 3
    assert why_ended(status_of(f"import os; os.kill(os.getpid(), {number})")) == f"signal {number}"


def test_what_workers_need_to_know_fits_a_line() -> None:
    spec = WorkerSpec({"haiku": "a.py:b"}, 0.5, 64)
    line = spec.line()
    assert line.count(b"\n") == 1 and WorkerSpec(**json.loads(line)) == spec
