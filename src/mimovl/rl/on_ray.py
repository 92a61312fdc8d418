"""Rollout engines placed over a cluster by Ray, with lost ones replaced; reward workers are in ``ray_rewards.py``.

The engines are the embedded one, each in an actor; an answer is a function of its request and the parameters, so
the groups of an actor that is lost are asked of its successor and come out the same. An actor that has run dry takes
half the samples of the fullest one, from actor to actor: a step ends with its longest answers, and would otherwise end
with most engines idle.
"""

from __future__ import annotations

import copy
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from mimovl.data import Processor
from mimovl.errors import DataError, MimovlError, MissingExtraError
from mimovl.generate import Engine, Finished, RequestError
from mimovl.generate.moving import MovedGroup
from mimovl.model import VisionLanguageModel
from mimovl.train.distributed import own_device
from mimovl.types import Request

__all__ = ["LOSSES", "RayEngine", "ray_library"]

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

    def give(self, count: int) -> tuple[list[tuple[int, int]], list[MovedGroup]]:
        """Part with so many samples; the caller's tickets and samples, and all that another actor needs to go on."""
        groups = [replace(group, ticket=self.tickets[group.ticket]) for group in self.engine.give(count)]
        places = [(group.ticket, sample) for group in groups for sample in group.places]
        return places, groups

    def adopt(self, groups: Sequence[MovedGroup]) -> None:
        """Go on with samples of another actor."""
        for ticket, group in zip(self.engine.adopt(groups), groups, strict=True):
            self.tickets[ticket] = group.ticket

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


@dataclass(slots=True)
class _Asked:
    """A request, and which actor has each of its unfinished samples."""

    request: Request
    places: dict[int, int]


@dataclass(slots=True)
class _Move:
    """Samples on their way."""

    giver: int
    taker: int
    groups: Any
    """Reference to what the giver sends."""
    tickets: list[int] = field(default_factory=list)
    """Once they are known, and the taker has been asked to adopt them."""


class RayEngine:
    """A ``RolloutEngine`` of several actors; a group is asked of the least loaded.

    Args:
        model: whose parameters they start with.
        processor: of the same checkpoint.
        engines: how many actors.
        slots: samples at once, of all together.
        options: of each actor, as for ``ray.remote``, e.g. ``{"num_gpus": 1}``.
        threads: of each actor.
        moves: whether an actor that has run dry takes samples of others.

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
        moves: bool = True,
    ) -> None:
        self._ray = ray_library()
        self.slots = slots
        self.moves = moves
        self.redone = 0
        """Groups asked again because an actor was lost."""
        self.moved = 0
        """Samples that went on in another actor."""
        self._kind = self._ray.remote(EngineActor).options(**(options or {"num_cpus": 1}))
        model = model if model.device.type == "cpu" else copy.deepcopy(model).to("cpu")
        self._made = self._ray.put((model, processor))
        self._each = (-(-slots // engines), threads)
        self._state: Any = None
        self._tickets = 0
        self._open: dict[int, _Asked] = {}
        self._failed: list[RequestError] = []
        self._losses = 0
        self._actors = [self._start() for _ in range(engines)]
        self._work: dict[Any, int] = {}
        self._moving: dict[Any, _Move] = {}

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
        loads = self._loads()
        actor = loads.index(min(loads))
        self._open[self._tickets] = _Asked(request, dict.fromkeys(range(request.num_samples), actor))
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
        loads = self._loads()
        for actor in {actor for actor, load in enumerate(loads) if load} - set(self._work.values()):
            self._work[self._actors[actor].work.remote()] = actor
        if self.moves:
            self._even_out(loads)
        if not self._work:
            return []
        ready, _ = self._ray.wait([*self._work, *self._moving], timeout=2 * MOMENT)
        found: list[Finished] = []
        for one in ready:
            if move := self._moving.pop(one, None):
                self._go_on(one, move)
                continue
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
            for actor in set(asked.places.values()):
                self._actors[actor].cancel.remote(ticket)

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
        self._ask_again([ticket for ticket, asked in self._open.items() if actor in asked.places.values()], actor)

    def _ask_again(self, tickets: Sequence[int], actor: int) -> None:
        """Ask requests of an actor; what others still say of them counts as well, whoever is first."""
        for ticket in tickets:
            if asked := self._open.get(ticket):
                self.redone += 1
                self._actors[actor].submit.remote(ticket, asked.request)

    def _is_new(self, done: Finished) -> bool:
        """Whether a sample has not been reported; an actor that replaces another answers some again."""
        asked = self._open.get(done.ticket)
        if asked is None or asked.places.pop(done.sample, None) is None:
            return False
        if not asked.places:
            del self._open[done.ticket]
        return True

    # ------------------------------------------------------------ samples that move

    def _loads(self) -> list[int]:
        """Unfinished samples of each actor."""
        counts = Counter(actor for asked in self._open.values() for actor in asked.places.values())
        return [counts[actor] for actor in range(len(self._actors))]

    def _even_out(self, loads: Sequence[int]) -> None:
        """Every actor without a sample asks the fullest one for half of what it has."""
        givers = {move.giver for move in self._moving.values() if not move.tickets}
        takers = {move.taker for move in self._moving.values()}
        for taker, load in enumerate(loads):
            rich = [actor for actor, load in enumerate(loads) if load > 1 and actor not in givers]
            if load or taker in takers or not rich:
                continue
            giver = max(rich, key=loads.__getitem__)
            places, groups = self._actors[giver].give.options(num_returns=2).remote(loads[giver] // 2)
            self._moving[places] = _Move(giver, taker, groups)
            givers.add(giver)

    def _go_on(self, known: Any, move: _Move) -> None:
        """What is to move is known, or has arrived, or was lost on the way."""
        errors = self._ray.exceptions
        try:
            result = self._ray.get(known)
        except errors.RayActorError:
            return  # whoever was lost has work that fails too, and its groups are asked again
        except (errors.ObjectLostError, errors.RayTaskError) as error:
            # The giver's machine went down with it, or the taker could not: it asks for the groups anew.
            self._losses += 1
            if self._losses > LOSSES:
                raise MimovlError(f"samples were lost {self._losses} times in a row on their way: {error}") from error
            self._ask_again(move.tickets, move.taker)
            return
        if move.tickets or not result:
            return
        for ticket, sample in result:
            if (asked := self._open.get(ticket)) and sample in asked.places:
                asked.places[sample] = move.taker
                self.moved += 1
        move.tickets = sorted({ticket for ticket, _ in result})
        self._moving[self._actors[move.taker].adopt.remote(move.groups)] = move
        for ticket in move.tickets:
            if ticket not in self._open:
                self._actors[move.taker].cancel.remote(ticket)


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
