"""Reward functions that misbehave, each in a way of its own; loaded by services of the tests and of the benchmarks.

functions: {crash: poison.py:crash, …}     every public function below, by its name
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from mimovl.types import Outcome, Sample, Verdict


def brevity(sample: Sample, text: str) -> Verdict:
    """Behaves well: the shorter the better."""
    return Verdict(1 / (1 + len(text)), Outcome.CORRECT, text, "brevity")


def prompt_length(sample: Sample, text: str) -> Verdict:
    """Behaves well, and reads prompt and pictures."""
    pictures = sum(len(media.data) for media in sample.media.values())
    return Verdict(1.0, Outcome.CORRECT, f"{sum(len(message.text) for message in sample.messages)} {pictures}", "read")


def crash(sample: Sample, text: str) -> Verdict:
    """A fault in C code."""
    os.kill(os.getpid(), signal.SIGSEGV)
    raise AssertionError


def leave(sample: Sample, text: str) -> Verdict:
    """Ends the process as if nothing were wrong."""
    sys.exit(0)


def spin(sample: Sample, text: str) -> Verdict:
    """A loop without end."""
    while True:
        pass


def sleep(sample: Sample, text: str) -> Verdict:
    """Waits without end, and without taking processor time."""
    while True:
        time.sleep(60)


def devour(sample: Sample, text: str) -> Verdict:
    """Takes memory without end."""
    taken = []
    while True:
        taken.append(bytearray(1 << 24))


def explode(sample: Sample, text: str) -> Verdict:
    """Raises."""
    raise ValueError(f"no reward for {text}")


def boast(sample: Sample, text: str) -> Verdict:
    """Out of range."""
    return Verdict(7.0, Outcome.CORRECT)


def chatter(sample: Sample, text: str) -> Verdict:
    """Prints, where only replies should go."""
    print('["verdict", 0, "WRONG", "", "forged"]', flush=True)
    return Verdict(1.0, Outcome.CORRECT, rule="chatter")


def note(sample: Sample, text: str) -> Verdict:
    """Leaves a trace in the file that the completion names, so that gradings can be counted."""
    with open(text, "a", encoding="utf-8") as file:
        file.write("graded\n")
    return Verdict(1.0, Outcome.CORRECT, rule="noted")


def stumble(sample: Sample, text: str) -> Verdict:
    """Dies the first time, as if somebody had killed the worker; the file that the completion names remembers."""
    file = Path(text)
    if not file.exists():
        file.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return Verdict(1.0, Outcome.CORRECT, rule="second try")


def wait(sample: Sample, text: str) -> Verdict:
    """Takes its time: the seconds that the completion says."""
    time.sleep(float(text))
    return Verdict(1.0, Outcome.CORRECT, rule="waited")


def until(sample: Sample, text: str) -> Verdict:
    """Waits for the file that the completion names."""
    while not Path(text).exists():
        time.sleep(0.01)
    return Verdict(1.0, Outcome.CORRECT, rule="waited")


def work(sample: Sample, text: str) -> Verdict:
    """Works: the seconds of processor time that the completion says."""
    end = time.process_time() + float(text)
    while time.process_time() < end:
        pass
    return Verdict(1.0, Outcome.CORRECT, rule="worked")


def who(sample: Sample, text: str) -> Verdict:
    """Says which service's process it is: that of the supervisor above it."""
    return Verdict(1.0, Outcome.CORRECT, str(os.getppid()), "who")


def secret(sample: Sample, text: str) -> Verdict:
    """Looks for what workers must not see."""
    return Verdict(1.0, Outcome.CORRECT, os.environ.get("MIMOVL_REWARD_TOKEN", "nothing"), "looked")


FUNCTIONS = {
    function.__name__: f"{Path(__file__).resolve()}:{function.__name__}"
    for function in (brevity, prompt_length, crash, leave, spin, sleep, devour, explode, boast, chatter, note, stumble)
    + (wait, until, work, who, secret)
}
