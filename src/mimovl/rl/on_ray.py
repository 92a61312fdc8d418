"""Rollout engines and reward workers placed over a cluster by Ray, with lost ones replaced.

The engines are the embedded one, each in an actor; an answer is a function of its request and the parameters, so
the groups of an actor that is lost are asked of its successor and come out the same. A reward worker that is lost is
replaced and asked again: rewards are pure.
"""

from __future__ import annotations

import copy
import queue
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from mimovl.data import Processor
from mimovl.errors import DataError, MimovlError, MissingExtraError
from mimovl.generate import Engine, Finished, RequestError
from mimovl.model import VisionLanguageModel
from mimovl.reward import Rewards
from mimovl.train.distributed import own_device
from mimovl.types import Completion, Request, Sample, Verdict

__all__ = ["RayEngine", "RayRewards", "ray_library"]

MOMENT = 0.05
"""Seconds of work between two looks at what an actor has done."""
LOSSES = 10
"""Lost actors in a row, without an answer between them, after which the cluster is not fit to go on."""


class EngineActor:
    """The embedded engine, somewhere else."""

    def __init__(self, model: VisionLanguageModel, processor: Processor, slots: int, threads: int) -> None:
        torch.set_num_threads(threads)
        self.engine = Engine(model.to(own_device()), processor, slots=slots)
        self.tickets: dict[int, int] = {}

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Answer with these parameters from now on."""
        self.engine.model.load_state_dict(state)

    def submit(self, ticket: int, request: Request) -> None:
        """Take a request under the ticket of the caller."""
        self.tickets[self.engine.submit(request)] = ticket

    def cancel(self, ticket: int) -> None:
        """Stop a request and forget what it has written."""
        for own, theirs in list(self.tickets.items()):
            if theirs == ticket:
                del self.tickets[own]
                self.engine.cancel(own)

    def work(self) -> tuple[list[Finished], list[tuple[int, str, str]]]:
        """A moment's work: samples that are done, and requests that were given up with their reasons."""
        done: list[Finished] = []
        failed: list[tuple[int, str, str]] = []
        end = time.monotonic() + MOMENT
        while not self.engine.idle and time.monotonic() < end:
            try:
                found = self.engine.step()
            except RequestError as error:
                failed.append((self.tickets.pop(error.ticket), str(error), error.reason))
                continue
            done += [
                Finished(self.tickets[one.ticket], one.sample, one.completion)
                for one in found
                if one.ticket in self.tickets
            ]
        return done, failed


class RayEngine:
    """A ``RolloutEngine`` of several actors; a group is asked of the least loaded.

    Args:
        model: whose parameters they start with.
        processor: of the same checkpoint.
        engines: how many actors.
        slots: samples at once, of all together.
        options: of each actor, as for ``ray.remote``, e.g. ``{"num_gpus": 1}``.
        threads: of each actor.

    Raises:
        MissingExtraError: the ``ray`` extra is not installed.
    """

    def __init__(
        self,
        model: VisionLanguageModel,
        processor: Processor,
        *,
        engines: int,
        slots: int = 128,
        options: Mapping[str, Any] | None = None,
        threads: int = 1,
    ) -> None:
        self._ray = ray_library()
        self.slots = slots
        self.redone = 0
        """Groups asked again because an actor was lost."""
        self._kind = self._ray.remote(EngineActor).options(**(options or {"num_cpus": 1}))
        model = model if model.device.type == "cpu" else copy.deepcopy(model).to("cpu")
        self._made = self._ray.put((model, processor))
        self._each = (-(-slots // engines), threads)
        self._state: Any = None
        self._tickets = 0
        self._open: dict[int, tuple[Request, int]] = {}
        self._seen: dict[int, set[int]] = {}
        self._failed: list[RequestError] = []
        self._losses = 0
        self._actors = [self._start() for _ in range(engines)]
        self._work: dict[Any, int] = {}

    def submit(self, request: Request) -> int:
        """Take a request.

        Raises:
            DataError: it asks for more samples than one actor has slots.
        """
        if not 1 <= request.num_samples <= self._each[0]:
            raise DataError(
                f"sample {request.sample.id}: {request.num_samples} samples are asked for, an engine has "
                f"{self._each[0]} slots; raise slots or place fewer engines"
            )
        self._tickets += 1
        loads = [0] * len(self._actors)
        for ticket, (asked, actor) in self._open.items():
            loads[actor] += asked.num_samples - len(self._seen[ticket])
        actor = loads.index(min(loads))
        self._open[self._tickets] = request, actor
        self._seen[self._tickets] = set()
        self._actors[actor].submit.remote(self._tickets, request)
        return self._tickets

    def step(self) -> list[Finished]:
        """Wait a moment for the actors; samples that are done.

        Raises:
            RequestError: one request is given up.
            MimovlError: actors are lost again and again.
        """
        if self._failed:
            raise self._failed.pop(0)
        busy = {actor for _, actor in self._open.values()}
        for actor in busy - set(self._work.values()):
            self._work[self._actors[actor].work.remote()] = actor
        if not self._work:
            return []
        ready, _ = self._ray.wait(list(self._work), timeout=2 * MOMENT)
        found: list[Finished] = []
        for one in ready:
            actor = self._work.pop(one)
            try:
                done, failed = self._ray.get(one)
            except self._ray.exceptions.RayActorError as error:
                self._replace(actor, error)
                continue
            self._losses = 0
            self._failed += [
                RequestError(story, ticket=ticket, reason=reason)
                for ticket, story, reason in failed
                if self._open.pop(ticket, None)
            ]
            found += [finished for finished in done if self._is_new(finished)]
        return found

    def cancel(self, ticket: int) -> None:
        """Stop a request."""
        if asked := self._open.pop(ticket, None):
            self._actors[asked[1]].cancel.remote(ticket)

    def refresh(self, model: VisionLanguageModel) -> None:
        """Send the parameters to every actor; what is asked of it later is answered with them."""
        self._state = self._ray.put({name: value.detach().cpu() for name, value in model.state_dict().items()})
        for actor in self._actors:
            actor.load.remote(self._state)

    def close(self) -> None:
        """End the actors."""
        for actor in self._actors:
            self._ray.kill(actor)

    def processes(self) -> list[int]:
        """Process ids of the actors."""
        return [self._ray.get(actor.__ray_call__.remote(_process)) for actor in self._actors]

    def _start(self) -> Any:
        model, processor = self._ray.get(self._made)
        actor = self._kind.remote(model, processor, *self._each)
        if self._state is not None:
            actor.load.remote(self._state)
        return actor

    def _replace(self, actor: int, error: Exception) -> None:
        """Another actor in the place of one that was lost; calls to an actor run in order, so it loads first."""
        self._losses += 1
        if self._losses > LOSSES:
            raise MimovlError(f"{self._losses} rollout engines in a row were lost; the last: {error}") from error
        self._actors[actor] = self._start()
        for ticket, (request, place) in self._open.items():
            if place == actor:
                self.redone += 1
                self._actors[actor].submit.remote(ticket, request)

    def _is_new(self, done: Finished) -> bool:
        """Whether a sample has not been reported; an actor that replaces another answers some again."""
        seen = self._seen.get(done.ticket)
        if done.ticket not in self._open or seen is None or done.sample in seen:
            return False
        seen.add(done.sample)
        if len(seen) == self._open[done.ticket][0].num_samples:
            del self._open[done.ticket], self._seen[done.ticket]
        return True


class RewardActor:
    """Rewards, somewhere else."""

    def __init__(self, rewards: Rewards) -> None:
        self.rewards = rewards

    def score_many(self, samples: Sequence[Sample], completions: Sequence[Completion | str]) -> list[Verdict]:
        """The verdicts of many completions."""
        return self.rewards.score_many(samples, completions)


class RayRewards:
    """Rewards in actors, from any thread; one that is lost is replaced, and what it had is asked again.

    Args:
        rewards: the router; its functions must be picklable.
        workers: how many actors.
        options: of each, as for ``ray.remote``.

    Raises:
        MissingExtraError: the ``ray`` extra is not installed.
    """

    def __init__(self, rewards: Rewards, *, workers: int, options: Mapping[str, Any] | None = None) -> None:
        self._ray = ray_library()
        self._rewards = rewards
        self._kind = self._ray.remote(RewardActor).options(**(options or {"num_cpus": 1}))
        self._free: queue.LifoQueue[Any] = queue.LifoQueue()
        self.redone = 0
        """Calls made again because an actor was lost."""
        for _ in range(workers):
            self._free.put(self._kind.remote(rewards))

    def score(self, sample: Sample, completion: Completion | str) -> Verdict:
        """The verdict of one completion."""
        return self.score_many([sample], [completion])[0]

    def score_many(self, samples: Sequence[Sample], completions: Sequence[Completion | str]) -> list[Verdict]:
        """One verdict for each, in order, by the next free actor.

        Raises:
            MimovlError: actors are lost again and again.
        """
        for _ in range(LOSSES):
            actor = self._free.get()
            try:
                verdicts: list[Verdict] = self._ray.get(actor.score_many.remote(samples, completions))
                return verdicts
            except self._ray.exceptions.RayActorError:
                actor = self._kind.remote(self._rewards)
                self.redone += 1
            except self._ray.exceptions.RayTaskError as error:
                raise getattr(error, "cause", None) or error from None
            finally:
                self._free.put(actor)
        raise MimovlError(f"{LOSSES} reward workers in a row were lost with samples like {samples[0].id!r}")


def _process(actor: object) -> int:
    import os

    return os.getpid()


def ray_library() -> Any:
    """Ray.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import ray
    except ImportError:
        raise MissingExtraError("ray", "ray", "placing reinforcement learning on a cluster") from None
    return ray
