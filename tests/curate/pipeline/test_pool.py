"""Pools do every job once, in this process or others; a death costs the jobs in hand, which are done again."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from mimovl.curate.pipeline.pool import Here, Processes
from mimovl.errors import MimovlError


def square(common: bytes, job: int) -> tuple[int, int, str]:
    return job * job, os.getpid(), os.environ.get("OMP_NUM_THREADS", "")


def fragile(common: bytes, job: int) -> int:
    notes = Path(common.decode())
    if job == 3 and (not notes.exists() or notes.read_text() == "always"):
        notes.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return job


def refuses(common: bytes, job: int) -> int:
    raise MimovlError(f"not {job}")


def test_every_job_is_done_once_by_single_threaded_processes() -> None:
    pool = Processes(2)
    try:
        found = list(pool.run(square, b"", range(20)))
    finally:
        pool.close()
    assert sorted(value for value, _, _ in found) == [n * n for n in range(20)]
    assert {one for _, _, one in found} == {"1"} and os.getpid() not in {one for _, one, _ in found}
    assert [value for value, one, _ in Here().run(square, b"", range(3)) if one == os.getpid()] == [0, 1, 4]


def test_a_death_costs_nothing_and_one_after_another_is_named(tmp_path: Path) -> None:
    pool = Processes(2, attempts=2)
    try:
        assert sorted(pool.run(fragile, str(tmp_path / "notes").encode(), range(6))) == list(range(6))
        (tmp_path / "always").write_text("always")
        with pytest.raises(MimovlError, match="died 2 times with 3 in hand"):
            list(pool.run(fragile, str(tmp_path / "always").encode(), range(6)))
        with pytest.raises(MimovlError, match="not 0"):
            list(pool.run(refuses, b"", [0]))
    finally:
        pool.close()


def test_close_ends_the_processes() -> None:
    pool = Processes(2)
    (_, worker, _) = next(iter(pool.run(square, b"", [1])))
    pool.close()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError("the worker lives")
