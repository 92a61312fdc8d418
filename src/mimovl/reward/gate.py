"""What stands before the application, for every request under /v1/: draining, the token, the body's size and time.

A plain ASGI wrapper, because a body must be refused before it is read into memory. It hands the application the whole
body at once, with its digest, and counts and times what is answered.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from mimovl.reward.schema import sendable
from mimovl.reward.service import Refusal, RewardService

__all__ = ["DIGEST", "Gate", "refusal_body", "refusal_headers"]

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]

DIGEST = "mimovl.digest"
"""Key of the body's digest in the ASGI scope."""

OVERSIZE_READ = 4
"""So many times the limit of an oversized body is read and dropped, so that its sender lives to read the answer."""


class Gate:
    """Lets requests through to ``app``, or refuses them.

    Args:
        app: the ASGI application behind.
        service: whose limits hold.
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], service: RewardService) -> None:
        self.app = app
        self.service = service
        self._token = service.config.token().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def noting(event: Event) -> None:
            nonlocal status
            if event["type"] == "http.response.start":
                status = event["status"]
            await send(event)

        refused = self.service.draining
        self.service.requests += not refused
        try:
            self._check(scope)
            body = await self._body(scope, receive)
            scope[DIGEST] = hashlib.blake2b(body, digest_size=16).digest()
            await self.app(scope, _replay(body, receive), noting)
        except Refusal as refusal:
            await _refuse(refusal, noting)
        finally:
            self.service.requests -= not refused
            self.service.metrics.request(status, time.perf_counter() - started)

    def _check(self, scope: Scope) -> None:
        if self.service.draining:
            raise Refusal(503, "the service is shutting down; ask another one, or this address again", retry_after=1)
        if self._token:
            if not hmac.compare_digest(_token(dict(scope["headers"]).get(b"authorization", b"")), self._token):
                raise Refusal(401, "header Authorization: write 'Bearer' and the service's token")

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        config = self.service.config
        limit = config.max_body_bytes
        chunks: list[bytes] = []
        size, more = 0, True
        try:
            async with asyncio.timeout(config.body_seconds):
                while more and size <= OVERSIZE_READ * limit:
                    event = await receive()
                    if event["type"] == "http.disconnect":
                        raise Refusal(400, "the connection ended before the body did")
                    size += len(event.get("body", b""))
                    more = bool(event.get("more_body"))
                    chunks.append(event.get("body", b""))
                    if size > limit:
                        chunks.clear()
        except TimeoutError:
            raise Refusal(408, f"the body did not arrive within {config.body_seconds:g} s; {size} bytes did") from None
        if size > limit:
            said = dict(scope["headers"]).get(b"content-length", b"").decode("latin-1")
            raise Refusal(
                413, f"body: {said or size} bytes, at most {limit} in one request; split the batch", limit=limit
            )
        return b"".join(chunks)


def _token(header: bytes) -> bytes:
    """The token of a header: a bearer's, or the password of an address (``http://mimovl:TOKEN@host``).

    Trainers that take nothing but an address, such as OpenRLHF, send what stands in it as basic authorisation.
    """
    kind, _, value = header.partition(b" ")
    if kind.lower() == b"bearer":
        return value.strip()
    if kind.lower() != b"basic":
        return b""
    try:
        return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
    except binascii.Error:
        return b""


def _replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives the body again, and then whatever comes."""
    waiting: list[Event] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Event:
        return waiting.pop() if waiting else await receive()

    return again


def refusal_body(refusal: Refusal) -> dict[str, Any]:
    """The JSON of a refusal, a ``schema.Problem``."""
    items = [{"index": item.index, "message": sendable(item.message)} for item in refusal.items]
    return {"detail": sendable(refusal.detail), "items": items, "limit": refusal.limit}


def refusal_headers(refusal: Refusal) -> dict[str, str]:
    """What goes with it."""
    headers = {}
    if refusal.retry_after is not None:
        headers["Retry-After"] = str(refusal.retry_after)
    if refusal.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return headers


async def _refuse(refusal: Refusal, send: Send) -> None:
    body = json.dumps(refusal_body(refusal)).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **refusal_headers(refusal)}
    if refusal.status in (408, 413, 503):
        headers["Connection"] = "close"
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
