import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mimovl.data.workers import InProcess, WorkerPool
from mimovl.errors import DataError, MediaError, MimovlError, MissingExtraError
from tests.data.worker_jobs import jobs

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pool():
    with WorkerPool(jobs, 2) as pool:
        yield pool


def children() -> set[int]:
    return {child.pid for child in multiprocessing.active_children() if child.name.startswith("data-worker")}


def test_results_come_in_the_order_they_are_asked_for_and_from_all_workers(pool) -> None:
    numbers = [pool.submit("double", about) for about in range(20)]
    results = {number: pool.result(number) for number in reversed(numbers)}
    assert [results[number]["array"][-1] for number in numbers] == [2 * about for about in range(20)]
    pids = {result["pid"] for result in results.values()}
    assert len(pids) == 2 and os.getpid() not in pids


def test_workers_work_side_by_side(pool, tmp_path: Path) -> None:
    numbers = [pool.submit("meet", (tmp_path, *names)) for names in (("one", "other"), ("other", "one"))]
    assert [pool.result(number) for number in numbers] == [True, True]


def test_workers_take_equal_shares(pool) -> None:
    numbers = [pool.submit("slow", about) for about in range(6)]
    pids = [pool.result(number) for number in numbers]
    assert sorted(pids.count(pid) for pid in set(pids)) == [3, 3]


def test_an_error_of_ours_arrives_as_itself_and_the_worker_lives_on(pool) -> None:
    with pytest.raises(DataError, match="^sample 5: 3 of 4 pictures$"):
        pool.result(pool.submit("data error", 5))
    with pytest.raises(MediaError, match="^sample 6: no picture$") as caught:
        pool.result(pool.submit("media error", 6))
    assert caught.value.reason == "not_an_image"
    with pytest.raises(MissingExtraError, match=r"pip install 'mimovl\[video\]'"):
        pool.result(pool.submit("missing", 7))
    assert pool.result(pool.submit("double", 1))["array"][0] == 2


def test_a_defect_arrives_with_the_workers_own_traceback(pool) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)a data worker failed:.*in jobs.*ZeroDivisionError"):
        pool.result(pool.submit("defect", 1))


def test_a_worker_has_one_thread_and_leaves_signals_to_the_group_to_the_trainer(pool) -> None:
    """Ctrl-C, and SIGTERM from torchrun, systemd or Slurm: a worker that died of it would take the save along."""
    assert pool.result(pool.submit("threads", 0)) == 1
    assert pool.result(pool.submit("interrupt", 0)) == "unmoved"


@pytest.mark.parametrize(
    ("kind", "how"), [("die", "signal SIGKILL"), ("crash", "signal SIGSEGV"), ("leave", "exit code 7")]
)
def test_a_workers_death_is_one_error_that_names_the_sample_it_was_on(kind, how) -> None:
    before = children()
    with WorkerPool(jobs, 1) as pool:
        assert pool.result(pool.submit("double", 1))["pid"] != os.getpid()
        number = pool.submit(kind, "s17 (number 17)")
        with pytest.raises(
            MimovlError, match=rf"data worker 0 died \({how}\) while on sample s17 \(number 17\); if it"
        ):
            pool.result(number)
        with pytest.raises(MimovlError, match="data worker 0 died"):
            pool.submit("double", 1)
            pool.result(pool.submit("double", 1))
    assert children() == before


def test_closing_ends_workers_that_are_busy() -> None:
    before = children()
    with WorkerPool(jobs, 1) as pool:
        for _ in range(50):
            pool.submit("slow", 0)
        began = time.monotonic()
    assert time.monotonic() - began < 14 and children() == before  # all of their work takes fifteen


def test_whoever_waits_is_let_go_when_nobody_wants_the_result() -> None:
    stop = threading.Event()
    with WorkerPool(jobs, 1, stop) as pool:
        number = pool.submit("slow", 0)
        stop.set()
        with pytest.raises(InterruptedError):
            for _ in range(100):
                pool.result(number)


def test_workers_go_when_the_trainer_is_killed() -> None:
    """Nothing tells them: the end of their pipe does."""
    program = (
        "import time\nfrom mimovl.data.workers import WorkerPool\nfrom tests.data.worker_jobs import jobs\n"
        "if __name__ == '__main__':\n"
        "    pool = WorkerPool(jobs, 2)\n"
        "    print(*{pool.result(pool.submit('slow', n)) for n in range(4)}, flush=True)\n"
        "    time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    script = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    )
    assert script.stdout
    pids = [int(word) for word in script.stdout.readline().split()]
    assert pids
    script.send_signal(signal.SIGKILL)
    script.wait()
    script.stdout.close()
    deadline = time.monotonic() + 60
    while (alive := [pid for pid in pids if _runs(pid)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_without_workers_a_job_is_done_when_its_result_is_asked_for() -> None:
    here = InProcess(jobs)
    one, two = here.submit("data error", 1), here.submit("double", 2)
    assert here.result(two)["pid"] == os.getpid()
    with pytest.raises(DataError, match="sample 1"):
        here.result(one)
