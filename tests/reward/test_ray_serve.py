"""The service as replicas under Ray Serve; the cluster is a process of its own, because Ray fills one with warnings."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mimovl.reward.client import RemoteRewards
from mimovl.reward.ray_serve import RewardReplica, build
from mimovl.reward.retry import RetryPolicy
from mimovl.reward.service_config import ServiceConfig
from mimovl.types import Gold, Sample
from tests.reward.poison import FUNCTIONS
from tests.reward.running import RunningService

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 900.0

CLUSTER = """
import sys, threading
import ray
from ray import serve
from mimovl.reward.ray_serve import build
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="warning")
serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
serve.run(build({"config": sys.argv[2], "replicas": "2"}))
print("ready", flush=True)
sys.stdin.read()
serve.shutdown()
ray.shutdown()
"""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"replica": "2"}, "replica: unknown argument; did you mean 'replicas'"),
        ({"replicas": "two"}, "replicas='two': Input should be a valid integer"),
        ({"workers": "0"}, "workers='0': Input should be greater than or equal to 1"),
        ({"config": "/nowhere/service.yaml"}, "/nowhere/service.yaml"),
    ],
)
def test_arguments_that_cannot_be_used_are_named(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(arguments)


def test_a_replica_without_anybody_to_grade_is_unwell(running: RunningService) -> None:
    replica = RewardReplica(ServiceConfig())
    replica.check_health()  # it has not started yet
    replica.service = running.service
    replica.check_health()
    running.service.draining = True
    try:
        with pytest.raises(Exception, match="shutting down"):
            replica.check_health()
    finally:
        running.service.draining = False


def test_without_the_extra_the_line_to_install_it_is_said() -> None:
    code = "import sys\nsys.modules['ray'] = None\nfrom mimovl.reward.ray_serve import build\nbuild({})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "run: pip install 'mimovl[ray]'" in done.stderr


@pytest.mark.engines
def test_two_replicas_share_the_load_and_one_killed_under_it_loses_nothing(tmp_path: Path) -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed: pip install 'mimovl[ray]'")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    lines = "".join(f"  {name}: {FUNCTIONS[name]}\n" for name in ("who", "wait"))
    (tmp_path / "service.yaml").write_text(f"workers: 1\ntoken_file: token.txt\nfunctions:\n{lines}", encoding="utf-8")
    (tmp_path / "token.txt").write_text("hush", encoding="utf-8")
    log = tmp_path / "ray.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-c", CLUSTER, str(port), str(tmp_path / "service.yaml")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "RAY_USAGE_STATS_ENABLED": "0"},
        ) as cluster,
    ):
        try:
            assert cluster.stdout is not None and cluster.stdin is not None
            assert cluster.stdout.readline() == "ready\n", log.read_text()[-4000:]
            under_load(cluster.pid, f"http://127.0.0.1:{port}")
            cluster.stdin.close()
            assert cluster.wait(PATIENCE) == 0
        finally:
            if cluster.poll() is None:
                cluster.terminate()


def under_load(cluster: int, url: str) -> None:
    """Three callers while one replica of two is killed and replaced: every reward comes, and is right."""
    policy = RetryPolicy(timeout=PATIENCE, attempt_seconds=60.0)
    wrong: list[tuple[list[float], list[float]]] = []
    rounds, stop = [0, 0, 0], threading.Event()
    with RemoteRewards(url, token="hush", policy=policy, batch=8) as rewards:

        def load(number: int) -> None:
            while not stop.is_set():
                asked = range(rounds[number], rounds[number] + 40)
                samples = [Sample(f"s{n}", (), task="counting", gold=Gold("count", n - n % 2)) for n in asked]
                scores = [verdict.score for verdict in rewards.score_many(samples, [str(n) for n in asked])]
                right = [float(n % 2 == 0) for n in asked]
                if scores != right:
                    wrong.append((scores, right))
                rounds[number] += 1

        before = until_there_are_two(lambda: replicas_of(rewards))
        threads = [threading.Thread(target=load, args=(number,)) for number in range(len(rounds))]
        for thread in threads:
            thread.start()
        try:
            wait_for(lambda: min(rounds) >= 3)
            os.kill(min(replica_processes(cluster)), signal.SIGKILL)
            at_the_kill = list(rounds)
            wait_for(lambda: all(now >= then + 5 for now, then in zip(rounds, at_the_kill, strict=True)))
            after = until_there_are_two(lambda: replicas_of(rewards))
        finally:
            stop.set()
            for thread in threads:
                thread.join(PATIENCE)
    assert not wrong
    assert len(before & after) == 1, "one lived, one was replaced"


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def replicas_of(rewards: RemoteRewards) -> set[str]:
    """Which services answer now: the supervisors that grade."""
    samples = [Sample(f"w{n}", (), task="who") for n in range(64)]
    return {verdict.answer for verdict in rewards.score_many(samples, [str(n) for n in range(64)])}


def until_there_are_two(found: Callable[[], set[str]]) -> set[str]:
    deadline = time.monotonic() + PATIENCE
    while len(services := found()) != 2:
        assert time.monotonic() < deadline, services
        time.sleep(0.2)
    return services


def replica_processes(root: int) -> list[int]:
    """Process ids of Ray's replicas below a process."""
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                names[int(entry.name)] = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue

    def below(pid: int) -> bool:
        while pid in parents:
            if pid == root:
                return True
            pid = parents[pid]
        return False

    return [pid for pid, name in names.items() if name.startswith("ray::ServeReplica") and below(pid)]
