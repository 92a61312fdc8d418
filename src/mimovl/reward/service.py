"""The reward service without its HTTP: admission, grading in workers, reward models, retries answered from memory.

    items ─ admitted? ─┬─ rules, functions ─▶ GradingPool ─ open questions ─▶ Math-Verify ─┬─▶ verdicts, in order
                       └─ tasks with a model ─▶ MicroBatcher ──────────────────────────────┘

It is the router split at ``start`` and ``finish``: the first half runs in processes that may die, the second here.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from mimovl import __version__
from mimovl.errors import DataError, MimovlError
from mimovl.reward.metrics import Metrics
from mimovl.reward.microbatch import MicroBatcher
from mimovl.reward.nursery import Nursery
from mimovl.reward.pool import GradingPool, Result
from mimovl.reward.router import Open, RewardModel, finish_questions
from mimovl.reward.schema import ProblemItem, RewardItem, ServiceInfo, media_of, messages_of
from mimovl.reward.service_config import ServiceConfig
from mimovl.reward.supervisor import WorkerSpec
from mimovl.reward.tasks import TASK_KINDS, read_gold
from mimovl.reward.worker import wire
from mimovl.types import Gold, Outcome, Sample, Verdict
from mimovl.verify.math import Pending
from mimovl.verify.math_pool import shared_pool
from mimovl.verify.math_process import math_verify_installed

__all__ = ["Refusal", "RewardService"]

SHOWN_PROBLEMS = 20
LONGEST_RETRY_AFTER = 30


class Refusal(MimovlError):
    """A request that is not answered with rewards, and the HTTP status that says why."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        items: Sequence[ProblemItem] = (),
        limit: int | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.items = list(items)
        self.limit = limit
        self.retry_after = retry_after


class _Job(NamedTuple):
    """A request at work or answered, kept for those that ask again."""

    task: asyncio.Task[list[Verdict]]
    digest: bytes
    size: int


class RewardService:
    """Rewards items; made once for each process that serves.

    Args:
        config: rewards and limits.
        models: reward models by task, in place of those the configuration names.

    Raises:
        UsageError: a reward model cannot be loaded.
        MissingExtraError: the ``serve`` extra is not installed.
    """

    def __init__(self, config: ServiceConfig, models: dict[str, RewardModel] | None = None) -> None:
        self.config = config
        self.metrics = Metrics()
        self.models = config.load_models() if models is None else models
        self.draining = False
        self.started = False
        self.requests = 0
        self.queued = 0
        self._jobs: OrderedDict[str, _Job] = OrderedDict()
        self._kept_items = 0
        self._rate = 0.0
        self._since = 0.0

    async def start(self) -> None:
        """Start workers and models, if that was not done; to be called in the loop that serves.

        Raises:
            UsageError: a reward function cannot be loaded.
        """
        if self.started:
            return
        self.started = True
        config = self.config
        spec = WorkerSpec(config.functions, config.item_cpu_seconds, config.worker_memory_mb)
        self.pool = GradingPool(
            Nursery(spec),
            workers=config.workers,
            item_seconds=config.item_seconds,
            attempts=config.item_attempts,
            on_end=self.metrics.worker_ended,
        )
        self._batchers = {
            task: MicroBatcher(model, task, size=config.micro_batch, gather_seconds=config.gather_seconds)
            for task, model in self.models.items()
        }
        self.metrics.watch(queued=lambda: self.queued, workers=lambda: self.pool.alive)
        num_math = shared_pool().workers
        self._threads = ThreadPoolExecutor(num_math + 1, thread_name_prefix="math-verify")
        self._math = asyncio.Semaphore(num_math)
        await self.pool.start()
        for batcher in self._batchers.values():
            await batcher.start()
        if math_verify_installed():
            self._threads.submit(shared_pool().start)

    async def close(self) -> None:
        """End workers and models."""
        await self.pool.close()
        for batcher in self._batchers.values():
            await batcher.close()
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    async def drain(self) -> None:
        """Refuse new requests, and wait for those in flight at most ``drain_seconds``."""
        self.draining = True
        deadline = time.monotonic() + self.config.drain_seconds
        while self.requests and time.monotonic() < deadline:
            await asyncio.sleep(0.01)

    def not_ready(self) -> str:
        """Why the service cannot take requests; empty if it can."""
        if self.draining:
            return "shutting down"
        return "" if self.pool.alive else "no grading process is up"

    def info(self) -> ServiceInfo:
        """What a client must know."""
        config = self.config
        own = {**dict.fromkeys(config.functions, "function"), **dict.fromkeys(self.models, "model")}
        return ServiceInfo(
            version=__version__,
            max_items=config.max_items,
            max_body_bytes=config.max_body_bytes,
            prompts=sorted(own),
            tasks={**TASK_KINDS, **config.kinds, **own},
        )

    async def score(self, items: Sequence[RewardItem], request_id: str = "", digest: bytes = b"") -> list[Verdict]:
        """A verdict for each item, in order.

        Args:
            items: what to reward.
            request_id: chosen by the client; a request with one that was seen is answered from memory.
            digest: of the request, so that one id cannot stand for two requests.

        Raises:
            Refusal: too many items (413), no room (429), an item at fault (422), an id used twice (409), or not done
                in time (504).
        """
        job = self._jobs.get(request_id) if request_id else None
        if job is None:
            job = self._admit(items, request_id, digest)
        elif job.digest != digest:
            raise Refusal(409, f"request id {request_id!r} was used for another request; choose a new one for each")
        try:
            async with asyncio.timeout(self.config.request_seconds):
                return await asyncio.shield(job.task)
        except TimeoutError:
            raise Refusal(
                504,
                f"{len(items)} items were not rewarded within {self.config.request_seconds:g} s; they still are being: "
                "ask again with the same X-Request-ID, or send smaller batches",
                retry_after=1,
            ) from None

    def _admit(self, items: Sequence[RewardItem], request_id: str, digest: bytes) -> _Job:
        config = self.config
        if len(items) > config.max_items:
            raise Refusal(
                413,
                f"items: {len(items)} items, at most {config.max_items} in one request; split the batch",
                limit=config.max_items,
            )
        if self.queued + len(items) > config.max_queued_items and self.queued:
            raise Refusal(
                429,
                f"{self.queued} items wait and {len(items)} more would exceed {config.max_queued_items}; try later",
                retry_after=self._retry_after(),
            )
        golds = self._read_golds(items)
        if not self.queued:
            self._since = time.monotonic()
        self.queued += len(items)
        task = asyncio.create_task(self._grade(items, golds))
        task.add_done_callback(self._answered)
        job = _Job(task, digest, len(items))
        if request_id and config.kept_answers:
            self._keep(request_id, job)
        return job

    def _answered(self, task: asyncio.Task[list[Verdict]]) -> None:
        if not task.cancelled():
            task.exception()  # seen, even if whoever asked has gone

    def _keep(self, request_id: str, job: _Job) -> None:
        self._jobs[request_id] = job
        self._kept_items += job.size
        while self._kept_items > self.config.kept_answers and len(self._jobs) > 1:
            _, old = self._jobs.popitem(last=False)  # at work or not: its own asker still holds it
            self._kept_items -= old.size

    def _retry_after(self) -> int:
        """Whole seconds until the queue should be half empty, going by how fast it moved lately."""
        seconds = self.queued / 2 / self._rate if self._rate else 1.0
        return max(1, min(LONGEST_RETRY_AFTER, round(seconds)))

    def _read_golds(self, items: Sequence[RewardItem]) -> list[Gold | None]:
        golds: list[Gold | None] = []
        problems: list[tuple[int, str]] = []
        for place, item in enumerate(items):
            own = item.task in self.models or item.task in self.config.functions
            gold = None
            try:
                gold = read_gold(item.task, item.gold, item.kind, item.options, self.config.kinds, needed=not own)
                if item.task in self.models and not item.messages:
                    raise DataError(f"field messages: a model rewards task {item.task!r} and must see the prompt")
            except DataError as error:
                problems.append((place, f"sample {_name(item, place)!r} of task {item.task!r}, {error}"))
            golds.append(gold)
        if problems:
            raise _refused(problems, len(items))
        return golds

    async def _grade(self, items: Sequence[RewardItem], golds: Sequence[Gold | None]) -> list[Verdict]:
        try:
            verdicts = await self._verdicts(items, golds)
        finally:
            self.queued -= len(items)
            now = time.monotonic()
            rate, self._since = len(items) / max(1e-3, now - self._since), now
            self._rate = 0.9 * self._rate + 0.1 * rate if self._rate else rate
        for (by, outcome), count in Counter(
            (self._by(item, gold), str(verdict.outcome))
            for item, gold, verdict in zip(items, golds, verdicts, strict=True)
        ).items():
            self.metrics.item(by, outcome, count)
        return verdicts

    def _by(self, item: RewardItem, gold: Gold | None) -> str:
        if item.task in self.models:
            return "model"
        return "function" if item.task in self.config.functions or gold is None else gold.kind

    async def _verdicts(self, items: Sequence[RewardItem], golds: Sequence[Gold | None]) -> list[Verdict]:
        by_rule = [place for place, item in enumerate(items) if item.task not in self.models]
        by_model: dict[str, list[int]] = {}
        for place, item in enumerate(items):
            if item.task in self.models:
                by_model.setdefault(item.task, []).append(place)
        found = await asyncio.gather(
            self._ask_rules(items, golds, by_rule),
            *(self._ask_model(task, items, places) for task, places in by_model.items()),
        )
        verdicts = {place: verdict for part in found for place, verdict in part.items()}
        return [verdicts[place] for place in range(len(items))]

    async def _ask_rules(
        self, items: Sequence[RewardItem], golds: Sequence[Gold | None], places: Sequence[int]
    ) -> dict[int, Verdict]:
        """Graders and functions, in the workers, and Math-Verify about what they leave open."""
        functions = self.config.functions
        lines = [
            wire(items[place], _name(items[place], place), golds[place], prompt=items[place].task in functions)
            for place in places
        ]
        return await self._finish(places, await self.pool.grade(lines), len(items))

    async def _finish(self, places: Sequence[int], results: Sequence[Result], num_items: int) -> dict[int, Verdict]:
        """What workers said, with the questions they left open asked of Math-Verify."""
        refused = [(place, rest[0]) for place, (kind, rest) in zip(places, results, strict=True) if kind == "refused"]
        if refused:
            raise _refused(refused, num_items)
        verdicts = {place: rest for place, (kind, rest) in zip(places, results, strict=True) if kind == "verdict"}
        left = [(place, Pending(*rest)) for place, (kind, rest) in zip(places, results, strict=True) if kind == "open"]
        if left:
            share = asyncio.Semaphore(shared_pool().workers)  # a large request takes turns with the others
            finished = await asyncio.gather(*(self._ask_math(pending, share) for _, pending in left))
            verdicts |= {place: verdict for (place, _), verdict in zip(left, finished, strict=True)}
        return verdicts

    async def _ask_math(self, pending: Pending, share: asyncio.Semaphore) -> Verdict:
        async with share, self._math:
            found = await asyncio.get_running_loop().run_in_executor(
                self._threads, finish_questions, [(0, Open(pending))]
            )
        return found[0]

    async def _ask_model(self, task: str, items: Sequence[RewardItem], places: Sequence[int]) -> dict[int, Verdict]:
        verdicts: dict[int, Verdict] = {}
        asked: list[tuple[int, Sample]] = []
        for place in places:
            item = items[place]
            if item.finish_reason == "length":
                verdicts[place] = Verdict(0.0, Outcome.TRUNCATED, rule="cut by the token limit")
                continue
            name = _name(item, place)
            try:
                asked.append((place, Sample(name, messages_of(item), media_of(item), task)))
            except DataError as error:
                raise _refused([(place, f"sample {name!r} of task {task!r}, {error}")], len(items)) from error
        texts = [items[place].completion for place, _ in asked]
        scored = await self._batchers[task].score([sample for _, sample in asked], texts)
        return verdicts | {place: verdict for (place, _), verdict in zip(asked, scored, strict=True)}


def _name(item: RewardItem, place: int) -> str:
    return item.id or f"items[{place}]"


def _refused(problems: Sequence[tuple[int, str]], num_items: int) -> Refusal:
    first = problems[0][1]
    several = f"{len(problems)} of {num_items} items cannot be rewarded; the first: "
    head = first if len(problems) == 1 else several + first
    shown = [ProblemItem(index=place, message=message) for place, message in problems[:SHOWN_PROBLEMS]]
    return Refusal(422, head, items=shown)
