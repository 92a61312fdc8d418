"""``mimovl reward serve`` as a user starts and stops it."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
from typer.testing import CliRunner

from mimovl.cli import app
from tests.reward.poison import FUNCTIONS
from tests.reward.running import PATIENCE, get, post
from tests.reward.server import Server, alive

GOOD = {"items": [{"task": "counting", "completion": "3", "gold": 3}]}


def configured(folder: Path) -> Path:
    (folder / "service.yaml").write_text(
        "workers: 2\nitem_seconds: 900\ndrain_seconds: 900\nfunctions: {until: "
        + FUNCTIONS["until"]
        + "}\nkinds: {fruit: text}\n",
        encoding="utf-8",
    )
    return folder / "service.yaml"


def refused(*arguments: object) -> str:
    """The one line with which the command ends."""
    result = CliRunner().invoke(app, ["reward", "serve", *map(str, arguments)])
    assert result.exit_code == 2, (result.exit_code, result.output, result.exception)
    assert result.stdout == "" and result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    return result.stderr


def test_sigterm_answers_what_is_in_flight_refuses_what_is_new_and_ends_well(tmp_path: Path) -> None:
    with Server(tmp_path, "--config", str(configured(tmp_path))) as server:
        assert get(server.url + "/readyz").status_code == 200
        item = {"task": "fruit", "completion": "Pear", "gold": "pear"}
        assert post(server.url + "/v1/rewards", json={"items": [item]}).json()["rewards"][0]["score"] == 1.0

        answers: list[httpx.Response] = []
        slow = {"items": [{"task": "until", "completion": str(tmp_path / "go")}] * 2}
        in_flight = threading.Thread(target=lambda: answers.append(post(server.url + "/v1/rewards", json=slow)))
        with httpx.Client(timeout=PATIENCE) as client:
            client.get(server.url + "/healthz")
            in_flight.start()
            while "mimovl_reward_queued_items 2.0" not in client.get(server.url + "/metrics").text:
                time.sleep(0.01)
            family = server.family()
            server.process.send_signal(signal.SIGTERM)
            while client.get(server.url + "/readyz").status_code != 503:
                time.sleep(0.01)
            response = client.post(server.url + "/v1/rewards", json=GOOD)
            assert response.status_code == 503 and response.headers["Retry-After"] == "1"
            assert post(server.url + "/v1/rewards", json=GOOD).status_code == 503, "a new connection too"
        (tmp_path / "go").touch()
        in_flight.join(PATIENCE)
        assert [one["detail"] for one in answers[0].json()["rewards"]] == ["waited", "waited"]
        assert server.process.wait(PATIENCE) == 0
        assert "Traceback" not in server.output()
        assert len(family) >= 3
        until_all_are_gone(family)


@contextlib.contextmanager
def busy(server: Server) -> Iterator[None]:
    """While a request is in flight that has no end."""

    def ask() -> None:
        with contextlib.suppress(httpx.HTTPError):
            post(server.url + "/v1/rewards", json={"items": [{"task": "until", "completion": "/nowhere/file"}]})

    thread = threading.Thread(target=ask)
    thread.start()
    while "mimovl_reward_queued_items 1.0" not in get(server.url + "/metrics").text:
        time.sleep(0.01)
    try:
        yield
    finally:
        thread.join(PATIENCE)


def test_a_service_that_is_killed_leaves_no_process_behind(tmp_path: Path) -> None:
    with Server(tmp_path, "--config", str(configured(tmp_path))) as server:
        while len(server.workers()) < 2:  # it is ready with the first
            time.sleep(0.01)
        with busy(server):
            family = server.family()
            server.process.kill()
            server.process.wait()
        until_all_are_gone(family)


def until_all_are_gone(family: set[int]) -> None:
    deadline = time.monotonic() + PATIENCE
    while any(map(alive, family)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with Server(tmp_path, "--config", str(configured(tmp_path))) as server, busy(server):
        server.process.send_signal(signal.SIGINT)
        while get(server.url + "/readyz").status_code != 503:
            time.sleep(0.01)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(PATIENCE) == 0


def test_an_address_that_is_taken_is_one_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        expected = f"cannot listen on 127.0.0.1 port {port}: Address already in use; choose another"
        assert expected in refused("--port", port)
    assert "cannot listen on 192.0.2.1 port" in refused("--port", 0, "--host", "192.0.2.1")


def test_a_configuration_that_cannot_be_used_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "service.yaml"
    assert "no such file" in refused("--port", 0, "--config", path)
    path.write_text("wokers: 3\n")
    assert "service.yaml:1: wokers: unknown key; did you mean 'workers'" in refused("--port", 0, "--config", path)
    path.write_text("models: {rlhf: {load: 'none.py:load'}}\n")
    assert "models.rlhf.load: no such file" in refused("--port", 0, "--config", path)
    path.write_text("token_file: none.txt\n")
    assert "token_file" in refused("--port", 0, "--config", path)


def test_a_reward_function_that_cannot_be_loaded_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "service.yaml"
    path.write_text("functions: {haiku: 'none.py:haiku'}\n")
    assert f"functions.haiku: no such file {tmp_path / 'none.py'}" in refused("--port", 0, "--config", path)


def test_without_the_extra_the_line_to_install_it_is_said(tmp_path: Path) -> None:
    """In a process where fastapi and uvicorn cannot be imported."""
    code = (
        "import sys\nfor name in ('fastapi', 'uvicorn', 'prometheus_client'): sys.modules[name] = None\n"
        "from mimovl.cli import app\napp(['reward', 'serve', '--port', '0'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "is not installed; run: pip install 'mimovl[serve]'" in done.stderr
