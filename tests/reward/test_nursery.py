"""The supervisor and its workers as real processes. Each nursery here starts a process of its own, once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mimovl.errors import UsageError
from mimovl.reward.nursery import Lines, Nursery, processor_time
from mimovl.reward.schema import RewardItem
from mimovl.reward.supervisor import WorkerSpec
from mimovl.reward.worker import wire
from mimovl.types import Gold
from tests.reward.poison import FUNCTIONS


def line(task: str, completion: str, gold: Gold | None = None) -> bytes:
    return wire(RewardItem(task=task, completion=completion), "s-1", gold, prompt=False)


def gone(pid: int, patience: float = 30.0) -> bool:
    """Whether a process ends in time; one that nobody has waited for yet has ended too."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state in "ZX":
            return True
        time.sleep(0.01)
    return False


def test_workers_answer_end_are_replaced_and_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIMOVL_REWARD_TOKEN", "hush")

    async def story() -> None:
        nursery = Nursery(WorkerSpec(FUNCTIONS, cpu_seconds=0.5, memory_mb=64))
        await nursery.start()
        assert nursery.process is not None
        first, second = await nursery.fork(), await nursery.fork()
        assert first.pid != second.pid

        # both answer, line by line, and see no token
        first.send(line("counting", "3", Gold("count", 3)) + line("counting", "4", Gold("count", 3)))
        second.send(line("secret", "x"))
        said = [json.loads(await worker.receive() or b"null") for worker in (first, first, second)]
        assert [reply[:2] for reply in said] == [["verdict", 1.0], ["verdict", 0.0], ["verdict", 1.0]]
        assert said[2][3] == "nothing"

        # what a function prints is no reply
        second.send(line("chatter", "x"))
        assert json.loads(await second.receive() or b"null")[4] == "chatter"

        # each way to end is told
        for task, reason in (("crash", "SIGSEGV"), ("leave", "exit status 0"), ("devour", "out of memory")):
            worker = await nursery.fork()
            worker.send(line(task, "x"))
            assert await worker.receive() is None
            assert await nursery.ended(worker) == reason
        worker = await nursery.fork()
        worker.send(line("spin", "x"))
        assert await worker.receive() is None and await nursery.ended(worker) == "cpu time"
        nursery.kill(first)
        assert await first.receive() is None and await nursery.ended(first) == "SIGKILL"

        # the supervisor's end takes the workers with it, and the next fork starts another supervisor
        sleeper = await nursery.fork()
        sleeper.send(line("sleep", "x"))
        os.kill(nursery.process.pid, signal.SIGKILL)
        assert await sleeper.receive() is None and await second.receive() is None
        assert await nursery.ended(sleeper) == "the supervisor ended"
        while nursery.process is not None:
            await asyncio.sleep(0.01)
        worker = await nursery.fork()
        worker.send(line("brevity", "abc"))
        assert json.loads(await worker.receive() or b"null")[1] == 0.25

        # closing ends all, even one that sleeps
        worker.send(line("sleep", "x"))
        supervisor = nursery.process.pid if nursery.process else 0
        await nursery.close()
        assert gone(supervisor) and gone(worker.pid)

    asyncio.run(story())


def test_a_function_that_is_not_there_is_named_with_its_field(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def haiku(sample, text): ...\n")

    async def story() -> None:
        nursery = Nursery(WorkerSpec({"poetry": f"{tmp_path / 'own.py'}:hiaku"}))
        with pytest.raises(UsageError, match=r"functions.poetry: .*own.py has no function 'hiaku'; did you mean"):
            await nursery.start()
        assert nursery.process is None

    asyncio.run(story())


def test_lines_are_put_together_however_they_arrive() -> None:
    async def story() -> None:
        lines = Lines()
        lines.data_received(b"fir")
        assert lines.received() is None
        lines.data_received(b"st\nsecond\nthi")
        assert [await lines.receive(), lines.received(), lines.received()] == [b"first", b"second", None]
        lines.data_received(b"rd")
        lines.connection_lost(None)
        assert await lines.receive() is None, "half a line is no line"

    asyncio.run(story())


def test_time_in_line_for_a_processor_is_told_apart_from_sleep_and_work() -> None:
    """Two loops on one processor: each runs half the time and stands in line the other half; a sleeper does neither."""
    cpu = min(os.sched_getaffinity(0))
    spin = f"import os, time; os.sched_setaffinity(0, [{cpu}]); end = time.time() + 180\nwhile time.time() < end: pass"
    loops = [subprocess.Popen([sys.executable, "-S", "-c", spin]) for _ in range(2)]
    sleeper = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(180)"])
    try:
        deadline = time.monotonic() + 150
        while any(processor_time(loop.pid).queued < 0.3 for loop in loops):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert all(processor_time(loop.pid).runnable and processor_time(loop.pid).ran > 0 for loop in loops)
        while processor_time(sleeper.pid).runnable:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        before = processor_time(sleeper.pid)
        time.sleep(0.3)
        after = processor_time(sleeper.pid)
        assert after == before and not after.runnable
    finally:
        for process in (*loops, sleeper):
            process.kill()
            process.wait()
    assert processor_time(sleeper.pid) == (0.0, 0.0, False), "nothing is known of a process that is gone"
