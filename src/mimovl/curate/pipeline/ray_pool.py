"""Ray's workers as a pool: the same jobs on several machines, which must see the same files at the same paths.

A job whose worker or machine dies is done again elsewhere; its shard is the same. Needs the extra ``ray``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from mimovl.errors import MimovlError, MissingExtraError, UsageError

__all__ = ["RayWorkers"]

J = TypeVar("J")
R = TypeVar("R")


class RayWorkers:
    """Satisfies ``pool.Pool``.

    Args:
        address: of the cluster, ``auto`` for the one this machine belongs to; ``local`` starts one here.
        workers: jobs at once, one processor each.
        attempts: tries of a job whose worker died.

    Raises:
        MissingExtraError: the extra ``ray`` is not installed.
        UsageError: there is no cluster at the address.
    """

    def __init__(self, address: str, workers: int, attempts: int = 3) -> None:
        try:
            import ray
        except ImportError:
            raise MissingExtraError("ray", "ray", "curation on several machines") from None
        self._ray: Any = ray
        self.workers, self.attempts = workers, attempts
        self._ours = not ray.is_initialized()
        if self._ours:
            where = {"num_cpus": workers, "include_dashboard": False} if address == "local" else {"address": address}
            try:
                ray.init(log_to_driver=False, **where)
            except (ConnectionError, ValueError) as error:
                raise UsageError(f"ray.address: no cluster at {address!r} ({error}); start one, or say local") from None

    def run(self, function: Callable[[bytes, J], R], common: bytes, jobs: Iterable[J]) -> Iterator[R]:
        """``function(common, job)`` of every job, in the order they are done.

        Raises:
            MimovlError: a job's worker died ``attempts`` times, or what the job raised.
        """
        ray = self._ray
        # Ray tries again by itself when it sees a worker die; what it loses otherwise is handed out again here.
        remote = ray.remote(num_cpus=1, max_retries=self.attempts - 1)(function)
        shared = ray.put(common)
        waiting = iter(jobs)
        running: dict[Any, tuple[J, int]] = {}
        try:
            while True:
                for job in islice(waiting, self.workers + 2 - len(running)):
                    running[remote.remote(shared, job)] = job, 1
                if not running:
                    return
                done, _ = ray.wait(list(running), num_returns=1)
                for reference in done:
                    job, tries = running.pop(reference)
                    try:
                        yield ray.get(reference)
                    except ray.exceptions.RayTaskError as error:
                        cause = error.cause
                        raise (cause if isinstance(cause, MimovlError) else error) from None
                    except ray.exceptions.RayError as error:
                        if tries == self.attempts:
                            raise MimovlError(f"Ray lost a task {tries} times: {error}") from None
                        running[remote.remote(shared, job)] = job, tries + 1
        finally:
            for reference in running:
                ray.cancel(reference, force=True)

    def close(self) -> None:
        """Leave the cluster, where this joined it."""
        if self._ours:
            self._ray.shutdown()
