"""Gather conversations from many requests into micro-batches for one reward model.

The model runs in a thread of its own, one micro-batch at a time. If it fails on a micro-batch, each conversation of it
is tried alone, so that one unreadable picture does not take its neighbours' rewards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from mimovl.reward.router import RewardModel, ask_model
from mimovl.types import Outcome, Sample, Verdict

__all__ = ["MicroBatcher"]


class _Question(NamedTuple):
    sample: Sample
    text: str
    answer: asyncio.Future[Verdict]


class MicroBatcher:
    """Asks a reward model.

    Args:
        model: any RewardModel.
        task: whose rewards it gives.
        size: conversations at once.
        gather_seconds: how long to wait for that many.
    """

    def __init__(self, model: RewardModel, task: str, *, size: int, gather_seconds: float) -> None:
        self.model = model
        self.task = task
        self.size = size
        self.gather_seconds = gather_seconds
        self._waiting: asyncio.Queue[_Question] = asyncio.Queue()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"reward-model-{task}")
        self._worker: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to answer."""
        self._worker = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop after the micro-batch at hand."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        while not self._waiting.empty():
            _settle(self._waiting.get_nowait(), _not_graded("the service ended"))
        await asyncio.to_thread(self._thread.shutdown)

    async def score(self, samples: Sequence[Sample], texts: Sequence[str]) -> list[Verdict]:
        """A verdict for each completion; NOT_GRADED with the reason where the model failed."""
        loop = asyncio.get_running_loop()
        questions = [_Question(*pair, loop.create_future()) for pair in zip(samples, texts, strict=True)]
        for question in questions:
            self._waiting.put_nowait(question)
        return [await question.answer for question in questions]

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = [await self._waiting.get()]
            try:
                await self._gather(batch)
                verdicts = await loop.run_in_executor(self._thread, self._ask, batch)
            except asyncio.CancelledError:
                for question in batch:
                    _settle(question, _not_graded("the service ended"))
                raise
            for question, verdict in zip(batch, verdicts, strict=True):
                _settle(question, verdict)

    async def _gather(self, batch: list[_Question]) -> None:
        """Fill a micro-batch with what waits already, and with what comes within ``gather_seconds``."""
        try:
            async with asyncio.timeout(self.gather_seconds):
                while len(batch) < self.size:
                    batch.append(self._waiting.get_nowait() if self._waiting.qsize() else await self._waiting.get())
        except TimeoutError:
            return

    def _ask(self, batch: Sequence[_Question]) -> list[Verdict]:
        try:
            return ask_model(
                self.model, self.task, [question.sample for question in batch], [question.text for question in batch]
            )
        except Exception as error:  # whatever lies behind the protocol
            if len(batch) == 1:
                return [_not_graded(f"the reward model failed: {type(error).__name__}: {error}")]
        return [self._ask([question])[0] for question in batch]


def _settle(question: _Question, verdict: Verdict) -> None:
    if not question.answer.done():
        question.answer.set_result(verdict)


def _not_graded(reason: str) -> Verdict:
    return Verdict(0.0, Outcome.NOT_GRADED, rule=reason)
