"""Rewards in the background: groups go in as they finish, verdicts come out as they arrive.

Whatever a reward does, nothing but verdicts with a score in [0, 1], one for each completion, comes out: one that
raises is asked again and then given up, one that takes too long is left behind with its thread, and a score that is
no number is a failure like any other. The trainer drops such a group, so no step is built on it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mimovl.errors import DataError, MimovlError, UsageError
from mimovl.reward import Rewards
from mimovl.rl.ledger import Failure
from mimovl.types import Completion, Sample, Verdict

__all__ = ["LateRewardError", "RewardQueue", "Rewarded", "ThreadedRewards", "check_verdicts"]


class LateRewardError(MimovlError):
    """Whoever computes a reward has given it up as hanging; it counts as overdue."""


@dataclass(frozen=True, slots=True)
class Rewarded:
    """A group's verdicts, or why there are none."""

    key: int
    verdicts: tuple[Verdict, ...] | None
    failure: Failure | None = None


class RewardQueue(Protocol):
    """Rewards groups while others are sampled."""

    def submit(self, key: int, sample: Sample, completions: Sequence[Completion]) -> None:
        """Reward a group's completions under a key of its own."""
        ...

    def poll(self) -> list[Rewarded]:
        """What has arrived since the last call."""
        ...

    def wait(self, seconds: float) -> None:
        """Until something has arrived, but no longer than so many seconds."""
        ...

    def forget(self) -> None:
        """Nothing that was submitted is wanted any more."""
        ...


@dataclass(slots=True, eq=False)
class _Job:
    key: int
    sample: Sample
    completions: tuple[Completion, ...]
    tries: int = 0
    started: float | None = None
    """When a thread took it up; None while none is at it."""


class ThreadedRewards:
    """A ``RewardQueue`` over the router or a reward service, in threads of this process.

    Args:
        rewards: called from several threads at once.
        workers: groups rewarded at once.
        seconds: after which a try counts as lost; its thread is replaced and whatever it still brings is ignored.
        tries: of each group. What the user must mend (``DataError``) is not tried again.
    """

    def __init__(self, rewards: Rewards, *, workers: int = 8, seconds: float = 300.0, tries: int = 3) -> None:
        self.rewards = rewards
        self.workers = workers
        self.seconds = seconds
        self.tries = tries
        self._lock = threading.RLock()
        """Of jobs, queues and threads: a thread is either done in time or replaced, never both."""
        self._ready, self._arrived = threading.Condition(self._lock), threading.Condition(self._lock)
        self._todo: deque[_Job | None] = deque()
        self._done: deque[tuple[_Job, Rewarded | BaseException]] = deque()
        self._wanted: dict[int, _Job] = {}
        self._unwanted: list[_Job] = []
        """Forgotten while a thread was at them."""
        self._threads = 0

    def submit(self, key: int, sample: Sample, completions: Sequence[Completion]) -> None:
        """Reward a group's completions under a key of its own."""
        job = _Job(key, sample, tuple(completions))
        self._wanted[key] = job
        self._try(job)

    def poll(self) -> list[Rewarded]:
        """What has arrived since the last call; what is overdue counts as arrived.

        Raises:
            UsageError: a reward service refuses, or does not answer.
        """
        found: list[Rewarded] = []
        with self._lock:
            arrived, self._done = self._done, deque()
            for job, result in arrived:
                if self._wanted.get(job.key) is not job:
                    continue  # forgotten
                if isinstance(result, UsageError):
                    raise result  # the service refuses or is gone: no group's fault
                if isinstance(result, Rewarded):
                    found.append(result)
                    del self._wanted[job.key]
                elif isinstance(result, LateRewardError):
                    found += self._failed(job, "reward-timeout", str(result))
                else:
                    found += self._failed(job, "reward-raised", f"{type(result).__name__}: {result}", result)
            end = time.monotonic() - self.seconds
            for job in [*self._wanted.values(), *self._unwanted]:
                if job.started is None or job.started >= end:
                    continue
                self._replace_thread()
                job.started = None
                if self._wanted.get(job.key) is job:
                    found += self._failed(job, "reward-timeout", f"no reward within {self.seconds:g} s")
                else:
                    job.tries += 1  # what its thread still brings is late
            self._unwanted = [job for job in self._unwanted if job.started is not None]
        return found

    def wait(self, seconds: float) -> None:
        """Until something has arrived, but no longer than so many seconds."""
        with self._lock:
            self._arrived.wait_for(lambda: self._done, timeout=seconds)

    def forget(self) -> None:
        """Nothing that was submitted is wanted any more."""
        with self._lock:
            self._unwanted += [job for job in self._wanted.values() if job.started is not None]
            self._wanted.clear()
            self._todo.clear()

    def close(self) -> None:
        """Let the threads end."""
        with self._lock:
            self.forget()
            self._todo.extend([None] * self._threads)
            self._ready.notify_all()
            self._threads = 0

    def _try(self, job: _Job) -> None:
        with self._lock:
            job.tries += 1
            job.started = None
            self._todo.append(job)
            self._ready.notify()
            if self._threads < self.workers:
                self._start_thread()

    def _start_thread(self) -> None:
        self._threads += 1
        threading.Thread(target=self._work, name="mimovl-reward", daemon=True).start()

    def _replace_thread(self) -> None:
        """One may never come back: those that wait behind it are worked off by another."""
        self._threads -= 1
        self._start_thread()

    def _take(self) -> tuple[_Job, int] | None:
        """The next job and which try it is; None where the thread is to end."""
        with self._lock:
            self._ready.wait_for(lambda: self._todo)
            if (job := self._todo.popleft()) is None:
                return None
            job.started = time.monotonic()
            return job, job.tries

    def _work(self) -> None:
        while taken := self._take():
            job, attempt = taken
            result: Rewarded | BaseException
            try:
                verdicts = self.rewards.score_many([job.sample] * len(job.completions), job.completions)
                result = check_verdicts(job.key, job.sample, verdicts, len(job.completions))
            except BaseException as error:  # a reward is anybody's code, and may call sys.exit
                result = error
            with self._lock:
                if job.tries != attempt:  # another thread has taken this one's place
                    return
                job.started = None
                self._done.append((job, result))
                self._arrived.notify_all()

    def _failed(self, job: _Job, reason: str, story: str, error: BaseException | None = None) -> list[Rewarded]:
        if job.tries < self.tries and not isinstance(error, DataError):
            self._try(job)
            return []
        del self._wanted[job.key]
        job.tries += 1  # what its thread still brings is late
        times = f" ({job.tries - 1} tries)" if job.tries > 2 else ""
        failure = Failure(reason, f"sample {job.sample.id!r} of task {job.sample.task!r}: {story}{times}")
        return [Rewarded(job.key, None, failure)]


def check_verdicts(key: int, sample: Sample, verdicts: Sequence[Verdict], count: int) -> Rewarded:
    """Verdicts that a step may be built on, or the failure that they are."""
    wrong = [verdict.score for verdict in verdicts if not 0.0 <= verdict.score <= 1.0]  # NaN too
    if len(verdicts) == count and not wrong:
        return Rewarded(key, tuple(verdicts))
    story = f"gave {wrong[0]}, not in [0, 1]" if wrong else f"gave {len(verdicts)} verdicts for {count} completions"
    return Rewarded(key, None, Failure("reward-invalid", f"sample {sample.id!r} of task {sample.task!r}: it {story}"))
