"""Reward workers placed over a cluster by Ray.

One that is lost is replaced and asked again, as rewards are pure; one that hangs is ended and replaced.
"""

from __future__ import annotations

import queue
from collections.abc import Mapping, Sequence
from typing import Any

from mimovl.errors import MimovlError
from mimovl.reward import Rewards
from mimovl.rl.on_ray import LOSSES, ray_library
from mimovl.rl.reward_queue import LateRewardError
from mimovl.types import Completion, Sample, Verdict

__all__ = ["RayRewards"]


class RewardActor:
    """Rewards, somewhere else."""

    def __init__(self, rewards: Rewards) -> None:
        self.rewards = rewards

    def begun(self) -> None:
        """Answers once the actor is there."""

    def score_many(self, samples: Sequence[Sample], completions: Sequence[Completion | str]) -> list[Verdict]:
        """The verdicts of many completions."""
        try:
            return self.rewards.score_many(samples, completions)
        except SystemExit as error:  # Ray would take it for the actor's own wish to end
            raise MimovlError(f"SystemExit: {error}") from None


class RayRewards:
    """Rewards in actors, from any thread; one that is lost is replaced, and what it had is asked again.

    Args:
        rewards: the router; its functions must be picklable.
        workers: how many actors.
        options: of each, as for ``ray.remote``.
        seconds: that one may take for the completions of a sample before it is ended and replaced; None for any time.

    Raises:
        MissingExtraError: the ``ray`` extra is not installed.
    """

    def __init__(
        self,
        rewards: Rewards,
        *,
        workers: int,
        options: Mapping[str, Any] | None = None,
        seconds: float | None = None,
    ) -> None:
        self._ray = ray_library()
        self._rewards = rewards
        self._kind = self._ray.remote(RewardActor).options(**(options or {"num_cpus": 1}))
        self._seconds = seconds
        self._free: queue.LifoQueue[tuple[Any, Any]] = queue.LifoQueue()
        """Actors, each with what says that it has begun: the time that takes is no reward's."""
        self.redone = 0
        """Calls made again because an actor was lost."""
        for _ in range(workers):
            self._free.put(self._start())

    def score(self, sample: Sample, completion: Completion | str) -> Verdict:
        """The verdict of one completion."""
        return self.score_many([sample], [completion])[0]

    def score_many(self, samples: Sequence[Sample], completions: Sequence[Completion | str]) -> list[Verdict]:
        """One verdict for each, in order, by the next free actor.

        Raises:
            LateRewardError: they have taken too long.
            MimovlError: actors are lost again and again.
        """
        limit = self._seconds and self._seconds * max(1, len({sample.id for sample in samples}))
        for _ in range(LOSSES):
            actor, begun = self._free.get()
            try:
                self._ray.get(begun)
                verdicts: list[Verdict] = self._ray.get(actor.score_many.remote(samples, completions), timeout=limit)
                return verdicts
            except self._ray.exceptions.GetTimeoutError:
                self._ray.kill(actor)
                actor, begun = self._start()
                raise LateRewardError(f"no reward within {limit:g} s") from None
            except self._ray.exceptions.RayActorError:
                actor, begun = self._start()
                self.redone += 1
            except self._ray.exceptions.RayTaskError as error:
                raise getattr(error, "cause", None) or error from None
            finally:
                self._free.put((actor, begun))
        raise MimovlError(f"{LOSSES} reward workers in a row were lost with samples like {samples[0].id!r}")

    def _start(self) -> tuple[Any, Any]:
        actor = self._kind.remote(self._rewards)
        return actor, actor.begun.remote()
