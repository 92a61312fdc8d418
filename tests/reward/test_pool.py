"""Grading in processes that die: real workers, real deaths."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mimovl.reward.nursery import Nursery
from mimovl.reward.pool import GradingPool, Result
from mimovl.reward.schema import RewardItem
from mimovl.reward.supervisor import WorkerSpec
from mimovl.reward.worker import wire
from mimovl.types import Gold, Outcome, Verdict
from tests.reward.poison import FUNCTIONS
from tests.reward.running import RunningService


def line(task: str, completion: str, gold: Gold | None = None) -> bytes:
    return wire(RewardItem(task=task, completion=completion), "s-1", gold, prompt=False)


def counted(n: int) -> bytes:
    """An item whose reward is 1 for even numbers and 0 for odd ones."""
    return line("counting", str(n), Gold("count", n - n % 2))


def workers_of(running: RunningService) -> list[int]:
    """Process ids of the workers, which are the supervisor's children."""
    process = running.service.pool.nursery.process
    assert process is not None
    text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(pid) for pid in text.split()]


def verdicts(results: list[Result]) -> list[Verdict]:
    assert {kind for kind, _ in results} == {"verdict"}
    return [verdict for _, verdict in results]


def grade(running: RunningService, lines: list[bytes]) -> list[Verdict]:
    return verdicts(running.run(running.service.pool.grade(lines)))


def test_results_come_in_order_whatever_their_number(running: RunningService) -> None:
    for count in (1, 2, 31, 33, 500):
        scores = [verdict.score for verdict in grade(running, [counted(n) for n in range(count)])]
        assert scores == [float(n % 2 == 0) for n in range(count)]
    assert grade_nothing(running) == []


def grade_nothing(running: RunningService) -> list[Result]:
    return running.run(running.service.pool.grade([]))


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ("crash", "ended 3 workers (SIGSEGV)"),
        ("leave", "ended 3 workers (exit status 0)"),
        ("devour", "ended 3 workers (out of memory)"),
        ("spin", "took longer than its processor time; its worker was ended"),
        ("sleep", "took longer than 4 s; its worker was ended"),
        ("explode", "the reward of task 'explode' raised ValueError: no reward for x"),
    ],
)
def test_a_poison_item_is_not_graded_with_its_reason_and_its_neighbours_are(
    running: RunningService, task: str, reason: str
) -> None:
    lines = [counted(n) for n in range(40)]
    lines[7] = line(task, "x")
    found = grade(running, lines)
    assert (found[7].score, found[7].outcome, found[7].rule) == (0.0, Outcome.NOT_GRADED, reason)
    others = [(n, verdict) for n, verdict in enumerate(found) if n != 7]
    assert all(verdict.score == float(n % 2 == 0) for n, verdict in others)


def test_a_batch_of_nothing_but_poison_is_answered_and_the_pool_lives(running: RunningService) -> None:
    found = grade(running, [line("crash", "x")] * 12)
    assert all(verdict.outcome is Outcome.NOT_GRADED for verdict in found)
    assert grade(running, [counted(2)])[0].score == 1.0


def test_an_item_whose_worker_was_killed_for_nothing_is_graded_by_another(
    running: RunningService, tmp_path: Path
) -> None:
    found = grade(running, [counted(2), line("stumble", str(tmp_path / "a")), counted(3)])
    assert [(verdict.score, verdict.rule) for verdict in found][1] == (1.0, "second try")
    assert [verdict.score for verdict in found] == [1.0, 1.0, 0.0]


def test_workers_killed_in_the_middle_of_their_work_lose_nothing(running: RunningService) -> None:
    async def story() -> list[Result]:
        work = asyncio.create_task(running.service.pool.grade([line("wait", "0.02") for _ in range(200)]))
        for _ in range(4):
            await asyncio.sleep(0.3)
            for pid in workers_of(running)[:1]:
                os.kill(pid, signal.SIGKILL)
        return await work

    found = verdicts(running.run(story()))
    assert [(verdict.score, verdict.rule) for verdict in found] == [(1.0, "waited")] * 200


def test_a_worker_that_gets_no_processor_is_waited_for_and_its_item_graded(running: RunningService) -> None:
    """Four processes on one processor: half a second of work takes two, where an item has 0.8 by the clock."""

    async def story() -> tuple[float, list[Result]]:
        pool = GradingPool(Nursery(WorkerSpec(FUNCTIONS, cpu_seconds=30.0)), workers=1, item_seconds=0.8, attempts=1)
        await pool.start()
        while not pool.alive:
            await asyncio.sleep(0.01)
        process = pool.nursery.process
        assert process is not None
        [worker] = map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
        cpu = min(os.sched_getaffinity(worker))
        os.sched_setaffinity(worker, [cpu])
        busy = f"import os\nos.sched_setaffinity(0, [{cpu}])\nwhile True: pass"
        loops = [subprocess.Popen([sys.executable, "-S", "-c", busy]) for _ in range(3)]
        try:
            started = time.monotonic()
            results = await pool.grade([line("work", "0.5")])
            return time.monotonic() - started, results
        finally:
            for loop in loops:
                loop.kill()
                loop.wait()
            await pool.close()

    seconds, results = asyncio.run(story())
    assert [verdict.rule for verdict in verdicts(results)] == ["worked"]
    assert seconds > 0.8, "it was given its processor too soon to say anything"


def test_an_idle_worker_that_is_killed_is_replaced_at_once(running: RunningService) -> None:
    deadline = time.monotonic() + 60
    while len(before := workers_of(running)) != 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    while len(after := workers_of(running)) != 2 or set(after) & set(before) or running.service.pool.alive != 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert grade(running, [counted(2)])[0].score == 1.0


def test_the_supervisor_that_is_killed_is_replaced_and_no_item_is_lost(running: RunningService) -> None:
    async def story() -> list[Result]:
        work = asyncio.create_task(running.service.pool.grade([line("wait", "0.02") for _ in range(60)]))
        await asyncio.sleep(0.2)
        process = running.service.pool.nursery.process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        return await work

    assert {verdict.rule for verdict in verdicts(running.run(story()))} == {"waited"}
