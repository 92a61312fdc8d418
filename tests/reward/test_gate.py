"""What is refused before it reaches the application, over a real connection."""

from __future__ import annotations

import base64
import json
import socket
import time

import pytest

from mimovl.reward.gate import Gate
from tests.reward.running import PATIENCE, RunningService, get, post

GOOD = {"items": [{"task": "counting", "completion": "3", "gold": 3}]}


def gate(running: RunningService) -> Gate:
    """The one in front of the running application."""
    layer = running.app.middleware_stack
    while not isinstance(layer, Gate):
        layer = layer.app  # type: ignore[union-attr]
    return layer


def by_hand(running: RunningService, *pieces: bytes, pause: float = 0.0) -> bytes:
    """Send bytes and read what comes until the end or for a while."""
    host, port = running.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause)
        data = b""
        while b"\r\n\r\n" not in data or b"}" not in data:
            more = connection.recv(65536)
            if not more:
                break
            data += more
    return data


NOBODY = "Basic " + base64.b64encode(b"hush").decode()
"""A name without a password is no token."""


def test_a_token_is_asked_for_rewards_and_not_for_probes(
    running: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate(running), "_token", b"hush")
    url = running.url + "/v1/rewards"
    for wrong in ("", "Bearer wrong", "hush", "Basic hush", NOBODY):
        response = post(url, json=GOOD, headers={"Authorization": wrong} if wrong else {})
        assert response.status_code == 401 and response.headers["WWW-Authenticate"] == "Bearer"
        assert "header Authorization" in response.json()["detail"]
    assert get(running.url + "/v1/info").status_code == 401
    in_the_address = "Basic " + base64.b64encode(b"mimovl:hush").decode()
    for right in ("Bearer hush", "bearer hush", in_the_address):
        assert post(url, json=GOOD, headers={"Authorization": right}).json()["rewards"][0]["score"] == 1.0
    for path in ("/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"):
        assert get(running.url + path).status_code == 200


def test_a_body_over_the_limit_is_refused_with_both_numbers(running: RunningService) -> None:
    body = json.dumps({"items": [{"task": "counting", "completion": "x" * 5000, "gold": 3}]}).encode()
    with running.changed(max_body_bytes=1000):
        response = post(running.url + "/v1/rewards", content=body, headers={"Content-Type": "application/json"})
        assert response.status_code == 413 and response.json()["limit"] == 1000
        assert f"body: {len(body)} bytes, at most 1000 in one request" in response.json()["detail"]

        chunked = post(running.url + "/v1/rewards", content=iter([body[:2000], body[2000:]]))
        assert chunked.status_code == 413, "a body that does not say its length is measured as it comes"
        huge = post(running.url + "/v1/rewards", content=b"x" * 3_900)
        assert huge.status_code == 413
    assert post(running.url + "/v1/rewards", json=GOOD).status_code == 200


def test_a_body_that_does_not_arrive_is_given_up(running: RunningService) -> None:
    head = b"POST /v1/rewards HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    with running.changed(body_seconds=0.2):
        answer = by_hand(running, head + b'{"items"')
    assert answer.startswith(b"HTTP/1.1 408") and b"did not arrive within 0.2 s; 8 bytes did" in answer


def test_a_sender_that_goes_away_leaves_the_service_well(running: RunningService) -> None:
    host, port = running.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"POST /v1/rewards HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    deadline = time.monotonic() + PATIENCE
    while running.service.requests and time.monotonic() < deadline:
        time.sleep(0.01)
    assert running.service.requests == 0
    assert post(running.url + "/v1/rewards", json=GOOD).status_code == 200


def test_while_it_drains_new_requests_are_refused_and_told_when_to_return(running: RunningService) -> None:
    running.service.draining = True
    try:
        response = post(running.url + "/v1/rewards", json=GOOD)
        assert response.status_code == 503 and response.headers["Retry-After"] == "1"
        assert "shutting down" in response.json()["detail"]
        assert get(running.url + "/readyz").status_code == 503
        assert get(running.url + "/healthz").status_code == 200
    finally:
        running.service.draining = False
    assert get(running.url + "/readyz").status_code == 200


def test_answers_and_refusals_are_counted_by_status(running: RunningService) -> None:
    def counts() -> dict[str, float]:
        lines = get(running.url + "/metrics").text.splitlines()
        found = [line.split() for line in lines if line.startswith("mimovl_reward_requests_total")]
        return {name: float(value) for name, value in found}

    before = counts()
    post(running.url + "/v1/rewards", json=GOOD)
    post(running.url + "/v1/rewards", json={"items": [{}]})
    after = counts()
    for code in ("200", "422"):
        key = f'mimovl_reward_requests_total{{status="{code}"}}'
        assert after[key] == before.get(key, 0) + 1
