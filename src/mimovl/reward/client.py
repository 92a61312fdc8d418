"""Ask a reward service as one asks the router: ``RemoteRewards``, and ``AsyncRemoteRewards`` for asynchronous callers.

    rewards = RemoteRewards("http://127.0.0.1:8000")
    verdicts = rewards.score_many(samples, completions)      # in order, whatever happens on the way

Large batches are split by the service's own limits and sent at once. A request that fails, or is refused for want of
room, is sent again under the same id until ``RetryPolicy.timeout``; one that is slow is sent a second time (hedged).
With several addresses, tries go round them.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import Future
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from mimovl.errors import DataError, MissingExtraError, UsageError
from mimovl.reward.retry import RETRIED, RetryPolicy, retry_after_seconds
from mimovl.reward.schema import RewardResponse, ServiceInfo, item_of
from mimovl.reward.service_config import TOKEN_VARIABLE
from mimovl.types import Completion, Sample, Verdict

if TYPE_CHECKING:
    import httpx

__all__ = ["AsyncRemoteRewards", "RemoteRewards", "ServiceUnavailableError"]

ModelT = TypeVar("ModelT", bound=BaseModel)

OVERHEAD = 64
"""Bytes of a request around its items, at most."""

BATCH = 256
CONCURRENCY = 8


class ServiceUnavailableError(UsageError):
    """No reward service answered in time."""


class AsyncRemoteRewards:
    """A reward service, asynchronously. To be used within one event loop; ``async with`` closes it.

    Args:
        urls: its address, or several: a list, or a text with commas.
        token: its bearer token; that of MIMOVL_REWARD_TOKEN if None.
        policy: how often and how long to try.
        batch: most items of a request; fewer where the service says so.
        concurrency: most requests at once.

    Raises:
        UsageError: no address is given, or one is not http(s)://….
        MissingExtraError: the ``client`` extra is not installed.
    """

    def __init__(
        self,
        urls: str | Sequence[str],
        *,
        token: str | None = None,
        policy: RetryPolicy | None = None,
        batch: int = BATCH,
        concurrency: int = CONCURRENCY,
    ) -> None:
        httpx = _httpx()
        self.urls = _addresses(urls)
        self.policy = policy or RetryPolicy()
        self.batch = batch
        self.concurrency = concurrency
        self._token = os.environ.get(TOKEN_VARIABLE, "") if token is None else token
        self._next_url = count()
        self._info: ServiceInfo | None = None
        self._limit = asyncio.Semaphore(concurrency)
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        self._http = httpx.AsyncClient(
            headers=headers,
            timeout=httpx.Timeout(self.policy.attempt_seconds, connect=10.0),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=2 * concurrency),
        )

    async def __aenter__(self) -> AsyncRemoteRewards:
        """Itself."""
        return self

    async def __aexit__(self, *exception: object) -> None:
        """Close the connections."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def info(self) -> ServiceInfo:
        """What the service rewards, and its limits; asked once.

        Raises:
            ServiceUnavailableError: no answer in time.
            UsageError: the token is refused, or this is no reward service.
        """
        if self._info is None:
            response = await self._ask("GET", "/v1/info", None, "")
            self._info = self._read(response, ServiceInfo)
        return self._info

    async def score(self, sample: Sample, completion: Completion | str) -> Verdict:
        """The verdict of one completion; see ``score_many``."""
        return (await self.score_many([sample], [completion]))[0]

    async def score_many(self, samples: Sequence[Sample], completions: Sequence[Completion | str]) -> list[Verdict]:
        """One verdict for each sample and completion, in order.

        Raises:
            DataError: the service refuses an item: unknown task, unreadable gold; names the sample and the field.
            ServiceUnavailableError: no answer in time.
            UsageError: the token is refused, or this is no reward service.
        """
        info = await self.info()
        lines = [_encode(*pair, info) for pair in zip(samples, completions, strict=True)]
        for sample, line in zip(samples, lines, strict=True):
            if len(line) + OVERHEAD > info.max_body_bytes:
                raise DataError(
                    f"sample {sample.id!r}: with its prompt and pictures it takes {len(line)} bytes, and the service "
                    f"takes at most {info.max_body_bytes} a request; raise its max_body_bytes or send smaller pictures"
                )
        batches = _split(lines, min(self.batch, info.max_items), info.max_body_bytes)
        tasks = [asyncio.create_task(self._score(lines[start:end])) for start, end in batches]
        try:
            return [verdict for verdicts in await asyncio.gather(*tasks) for verdict in verdicts]
        finally:  # where one batch failed, the others are of no use
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _score(self, lines: Sequence[bytes]) -> list[Verdict]:
        """A batch's verdicts; a batch that is too large after all is sent in halves."""
        body = b'{"items": [' + b", ".join(lines) + b"]}"
        async with self._limit:
            response = await self._ask("POST", "/v1/rewards", body, uuid.uuid4().hex)
        if response.status_code == 413 and len(lines) > 1:
            half = len(lines) // 2
            return [*await self._score(lines[:half]), *await self._score(lines[half:])]
        rewards = self._read(response, RewardResponse).rewards
        if len(rewards) != len(lines):
            raise UsageError(f"{response.url} gave {len(rewards)} rewards for {len(lines)} items: no reward service")
        return [reward.verdict() for reward in rewards]

    async def _ask(self, method: str, path: str, body: bytes | None, request_id: str) -> httpx.Response:
        """An answer that another try would not change."""
        httpx = _httpx()
        deadline = time.monotonic() + self.policy.timeout
        last = "no try was made"
        for tries in count(1):
            pause: float | None = None
            try:
                async with asyncio.timeout(max(0.001, min(self.policy.attempt_seconds, deadline - time.monotonic()))):
                    response = await self._hedged(method, path, body, request_id)
            except TimeoutError:
                last = "no answer"
            except httpx.TransportError as error:
                last = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            else:
                if response.status_code not in RETRIED:
                    return response
                last = f"status {response.status_code}: {_detail(response)}"
                pause = retry_after_seconds(response.headers.get("Retry-After"))
            pause = self.policy.pause(tries, pause)
            if time.monotonic() + pause >= deadline:
                break
            await asyncio.sleep(pause)
        raise ServiceUnavailableError(
            f"{', '.join(self.urls)}: no rewards within {self.policy.timeout:g} s after {tries} tries; the last: {last}"
        )

    async def _hedged(self, method: str, path: str, body: bytes | None, request_id: str) -> httpx.Response:
        """The first answer of one request, or of two where the first is slow."""
        first = asyncio.create_task(self._send(method, path, body, request_id))
        tasks = {first}
        try:
            done, _ = await asyncio.wait(tasks, timeout=self.policy.hedge_seconds)
            if done:
                return first.result()
            tasks.add(asyncio.create_task(self._send(method, path, body, request_id)))
            waiting = set(tasks)
            while True:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                good = [task for task in done if not task.exception() and task.result().status_code not in RETRIED]
                if good or not waiting:
                    answered: asyncio.Task[httpx.Response] = (good or list(done))[0]
                    return answered.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, method: str, path: str, body: bytes | None, request_id: str) -> httpx.Response:
        url = self.urls[next(self._next_url) % len(self.urls)]
        headers = {"Content-Type": "application/json", **({"X-Request-ID": request_id} if request_id else {})}
        response: httpx.Response = await self._http.request(method, url + path, content=body, headers=headers)
        return response

    def _read(self, response: httpx.Response, model: type[ModelT]) -> ModelT:
        """The answer as a model.

        Raises:
            DataError: the items are at fault.
            UsageError: the token is, or the address.
        """
        if response.status_code in (409, 413, 422):
            raise DataError(_detail(response))
        if response.status_code != 200:
            raise UsageError(f"{response.url} answered {response.status_code}: {_detail(response)}")
        try:
            return model.model_validate_json(response.content)
        except ValidationError as error:
            wrong = error.error_count()
            raise UsageError(f"{response.url} is no reward service: {wrong} fields are not as expected") from None


class RemoteRewards:
    """A reward service with the router's interface; may be used from several threads, pickled, and across a fork.

    The arguments are those of ``AsyncRemoteRewards``. Requests run in a thread of its own.
    """

    def __init__(self, urls: str | Sequence[str], **settings: Any) -> None:
        self._arguments = (urls, settings)
        _httpx()
        _addresses(urls)
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: AsyncRemoteRewards | None = None

    def __getstate__(self) -> Any:
        return self._arguments

    def __setstate__(self, state: Any) -> None:
        self._arguments = state
        self._reset()

    def __enter__(self) -> RemoteRewards:
        """Itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the connections."""
        self.close()

    def score(self, sample: Sample, completion: Completion | str) -> Verdict:
        """The verdict of one completion; see ``score_many``."""
        return self.score_many([sample], [completion])[0]

    def score_many(self, samples: Sequence[Sample], completions: Sequence[Completion | str]) -> list[Verdict]:
        """One verdict for each sample and completion, in order.

        Raises:
            DataError: the service refuses an item: unknown task, unreadable gold; names the sample and the field.
            ServiceUnavailableError: no answer in time.
            UsageError: the token is refused, or this is no reward service.
        """
        return self.submit(samples, completions).result()

    def submit(self, samples: Sequence[Sample], completions: Sequence[Completion | str]) -> Future[list[Verdict]]:
        """``score_many`` to come; asynchronous callers of any event loop await ``asyncio.wrap_future`` of it."""
        client, loop = self._started()
        return asyncio.run_coroutine_threadsafe(client.score_many(samples, completions), loop)

    def close(self) -> None:
        """Close the connections; the next call opens them again."""
        with self._lock:
            loop, client = self._loop, self._client
            self._loop = self._client = None
        if loop is None or client is None or self._owner != os.getpid():
            return
        asyncio.run_coroutine_threadsafe(client.aclose(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join()
        loop.close()

    def _started(self) -> tuple[AsyncRemoteRewards, asyncio.AbstractEventLoop]:
        if self._owner != os.getpid():
            self._reset()  # a forked child has neither the thread nor, safely, the connections
        with self._lock:
            if self._loop is None or self._client is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="mimovl-rewards", daemon=True)
                self._thread.start()
                urls, settings = self._arguments
                self._client = AsyncRemoteRewards(urls, **settings)
            return self._client, self._loop


def _httpx() -> Any:
    try:
        import httpx
    except ImportError:
        raise MissingExtraError("httpx", "client", "asking a reward service") from None
    return httpx


def _addresses(urls: str | Sequence[str]) -> list[str]:
    split = urls.split(",") if isinstance(urls, str) else urls
    found = [url.strip().rstrip("/") for url in split if url.strip()]
    if not found:
        raise UsageError("no address of a reward service; give one such as http://127.0.0.1:8000")
    if wrong := [url for url in found if not url.startswith(("http://", "https://"))]:
        raise UsageError(f"{wrong[0]}: the address of a reward service begins with http:// or https://")
    return found


def _encode(sample: Sample, completion: Completion | str, info: ServiceInfo) -> bytes:
    """An item as JSON.

    Raises:
        DataError: the gold is nothing JSON can hold.
    """
    item = item_of(sample, completion, prompt=sample.task in info.prompts)
    try:
        return json.dumps(item, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise DataError(
            f"sample {sample.id!r} of task {sample.task!r}, field gold: it cannot be sent as JSON ({error})"
        ) from None


def _split(lines: Sequence[bytes], max_items: int, max_bytes: int) -> list[tuple[int, int]]:
    """Consecutive (start, end) of batches within both limits."""
    batches: list[tuple[int, int]] = []
    start, size = 0, OVERHEAD
    for place, line in enumerate(lines):
        if place > start and (place - start == max_items or size + len(line) + 2 > max_bytes):
            batches.append((start, place))
            start, size = place, OVERHEAD
        size += len(line) + 2
    return [*batches, (start, len(lines))] if lines else []


def _detail(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return response.text[:200] or response.reason_phrase
