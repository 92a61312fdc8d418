import importlib.util
import os
import sys
import time
from pathlib import Path

import pytest

from mimovl.verify.math_process import MathProcess, math_verify_installed


def worker(tmp_path: Path, body: str) -> MathProcess:
    script = tmp_path / "worker.py"
    script.write_text("import sys, time, os, json\nprint('{\"ready\": true}', flush=True)\n" + body, encoding="utf-8")
    return MathProcess([sys.executable, str(script)])


def test_a_worker_that_hangs_is_killed_on_time(tmp_path: Path) -> None:
    process = worker(tmp_path, "time.sleep(60)\n")
    started = time.monotonic()
    assert process.compare("x", "y", timeout=0.2) == "timeout"
    assert time.monotonic() - started < 5
    assert process._process is None


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    flag = tmp_path / "died"
    process = worker(
        tmp_path,
        f"path = {str(flag)!r}\n"
        "line = sys.stdin.readline()\n"
        "if not os.path.exists(path):\n    open(path, 'w').close(); os._exit(1)\n"
        "print(json.dumps({'read': True, 'equal': True}), flush=True)\nsys.stdin.readline()\n",
    )
    assert process.compare("x", "y") == "crashed"
    assert process.compare("x", "y") == "equal"
    process.close()


def test_a_worker_that_writes_nonsense_is_not_believed(tmp_path: Path) -> None:
    process = worker(tmp_path, "sys.stdin.readline()\nprint('equal!', flush=True)\ntime.sleep(60)\n")
    assert process.compare("x", "y") == "crashed"


def test_a_worker_that_hangs_at_its_start_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mimovl.verify.math_process.START_SECONDS", 0.2)
    process = MathProcess([sys.executable, "-c", "import time; time.sleep(60)"])
    assert process.compare("x", "y") == "timeout"


def test_a_worker_that_cannot_start_is_no_error() -> None:
    assert MathProcess(["/no/such/program"]).compare("x", "y") == "crashed"


def test_a_fork_does_not_share_its_parents_worker(tmp_path: Path) -> None:
    process = worker(
        tmp_path, "for line in sys.stdin:\n    print(json.dumps({'read': True, 'equal': True}), flush=True)\n"
    )
    assert process.compare("x", "y") == "equal"
    first = process._process
    process._owner = os.getpid() + 1  # as a forked child would see it
    assert process.compare("x", "y") == "equal"
    assert first is not None and process._process is not first and first.poll() is None
    process.close()
    for stream in (first.stdin, first.stdout):
        assert stream is not None
        stream.close()
    first.kill()
    first.wait()


def test_looking_for_math_verify_does_not_import_it() -> None:
    assert math_verify_installed() == (importlib.util.find_spec("math_verify") is not None)
