"""A reward service in a thread of the test, with real worker processes and a real port, and faults on request."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar

import httpx
import uvicorn

from mimovl.reward.app import create_app
from mimovl.reward.router import RewardModel
from mimovl.reward.service import RewardService
from mimovl.reward.service_config import ServiceConfig

T = TypeVar("T")

PATIENCE = 900.0
"""Seconds until a test gives up: on a machine whose processors others take, seconds become minutes."""


def get(url: str) -> httpx.Response:
    """GET, patiently."""
    return httpx.get(url, timeout=PATIENCE)


def post(url: str, **arguments: Any) -> httpx.Response:
    """POST, patiently."""
    return httpx.post(url, timeout=PATIENCE, **arguments)


Fault = Callable[[Any, Any, Any], Awaitable[bool]]
"""Given scope, receive and send of a POST; True if it has answered it."""


class Flaky:
    """The service behind a bad line: each waiting fault spoils one POST. Notes the id of every POST."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.faults: deque[Fault] = deque()
        self.request_ids: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            self.request_ids.append(dict(scope["headers"]).get(b"x-request-id", b"").decode())
            if self.faults and await self.faults.popleft()(scope, receive, send):
                return
        await self.app(scope, receive, send)


def status(code: int, **headers: str) -> Fault:
    """Answer with a status."""

    async def fault(scope: Any, receive: Any, send: Any) -> bool:
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": code, "headers": raw})
        await send({"type": "http.response.body", "body": b'{"detail": "on request"}'})
        return True

    return fault


def drop() -> Fault:
    """Begin an answer and end the connection."""

    async def fault(scope: Any, receive: Any, send: Any) -> bool:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
        await send({"type": "http.response.body", "body": b'{"rew', "more_body": True})
        return True

    return fault


def slow(seconds: float) -> Fault:
    """Answer late."""

    async def fault(scope: Any, receive: Any, send: Any) -> bool:
        await asyncio.sleep(seconds)
        return False

    return fault


class RunningService:
    """A service that runs until ``close``."""

    def __init__(self, config: ServiceConfig, models: dict[str, RewardModel] | None = None) -> None:
        self.service = RewardService(config, models or {})
        self.app = create_app(config, self.service)
        self.flaky = Flaky(self.app)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        settings = uvicorn.Config(self.flaky, log_level="critical", lifespan="on")
        self._server = uvicorn.Server(settings)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + PATIENCE
        while not self._server.started or self.service.not_ready():
            assert self._thread.is_alive() and time.monotonic() < deadline, "the service does not start"
            time.sleep(0.01)

    def _run(self) -> None:
        async def serve() -> None:
            self.loop = asyncio.get_running_loop()
            await self._server.serve([self._socket])

        asyncio.run(serve())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the service's own event loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)

    @contextlib.contextmanager
    def changed(self, **settings: Any) -> Iterator[None]:
        """Other limits for a while."""
        before = self.service.config
        self.service.config = before.model_copy(update=settings)
        try:
            yield
        finally:
            self.service.config = before

    def close(self) -> None:
        """End it."""
        self._server.should_exit = True
        self._thread.join(PATIENCE)
        self._socket.close()
        assert not self._thread.is_alive()
