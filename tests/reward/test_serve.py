"""``mimovl reward serve`` as a user starts and stops it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from mimovl.cli import app
from tests.reward.poison import FUNCTIONS
from tests.reward.server import PATIENCE, Server, alive

GOOD = {"items": [{"task": "counting", "completion": "3", "gold": 3}]}


def configured(folder: Path) -> Path:
    (folder / "service.yaml").write_text(
        "workers: 2\nfunctions: {wait: " + FUNCTIONS["wait"] + "}\nkinds: {fruit: text}\n", encoding="utf-8"
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
        assert httpx.get(server.url + "/readyz").status_code == 200
        item = {"task": "fruit", "completion": "Pear", "gold": "pear"}
        assert httpx.post(server.url + "/v1/rewards", json={"items": [item]}).json()["rewards"][0]["score"] == 1.0

        answers: list[httpx.Response] = []
        slow = {"items": [{"task": "wait", "completion": "2"}] * 2}
        in_flight = threading.Thread(
            target=lambda: answers.append(httpx.post(server.url + "/v1/rewards", json=slow, timeout=PATIENCE))
        )
        with httpx.Client() as client:
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
            assert httpx.post(server.url + "/v1/rewards", json=GOOD).status_code == 503, "a new connection too"
        in_flight.join(PATIENCE)
        assert [one["detail"] for one in answers[0].json()["rewards"]] == ["waited", "waited"]
        assert server.process.wait(PATIENCE) == 0
        assert "Traceback" not in server.output()
        assert len(family) >= 3 and not any(map(alive, family))


def test_a_service_that_is_killed_leaves_no_process_behind(tmp_path: Path) -> None:
    with Server(tmp_path, "--config", str(configured(tmp_path))) as server:
        assert len(server.workers()) == 2
        with httpx.Client(timeout=0.5) as client, pytest.raises(httpx.ReadTimeout):
            client.post(server.url + "/v1/rewards", json={"items": [{"task": "wait", "completion": "600"}] * 2})
        family = server.family()
        server.process.kill()
        server.process.wait()
        deadline = time.monotonic() + PATIENCE
        while any(map(alive, family)):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with Server(tmp_path, "--config", str(configured(tmp_path))) as server:
        with httpx.Client(timeout=0.5) as client, pytest.raises(httpx.ReadTimeout):
            client.post(server.url + "/v1/rewards", json={"items": [{"task": "wait", "completion": "9"}]})
        server.process.send_signal(signal.SIGINT)
        while httpx.get(server.url + "/readyz").status_code != 503:
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
