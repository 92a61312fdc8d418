"""Processes that torchrun started, or one alone: joined, given a device, and arranged.

    torchrun --nproc-per-node 8 -m mimovl train …      RANK, WORLD_SIZE and LOCAL_RANK say who is who

    with joined() as team: …                           gloo on the CPU; nccl for tensors on GPUs, gloo beside it
    layout = Layout.of(parallel, stage, team.size)     who shares packs, who shares a pack's tokens, who divides what

Ranks lie so that neighbours share a pack: rank = data · context_parallel + context. All ranks together divide or repeat
parameters, whatever they share of the data: rank = replica · shard_size + shard.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import HashStore

from mimovl.errors import DataError, MimovlError, RecipeError
from mimovl.team import PATIENCE, Team
from mimovl.train.config import StageConfig
from mimovl.train.parallel_config import ParallelConfig

__all__ = ["Layout", "StopRequest", "agree", "by_torchrun", "joined", "own_device"]


def by_torchrun() -> bool:
    """Whether torchrun (or what sets the same variables) started this process."""
    return all(name in os.environ for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"))


def own_device() -> torch.device:
    """This process's GPU, or the CPU where there is none.

    Raises:
        MimovlError: more processes of this machine than GPUs; names both numbers.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    local, count = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
    if local >= count:
        raise MimovlError(
            f"process {local} of this machine has no GPU of its own: there are {count}; "
            f"start torchrun with --nproc-per-node {count}"
        )
    return torch.device("cuda", local)


@contextmanager
def joined() -> Iterator[Team]:
    """The team of all processes that torchrun started; a team of one, with a process group, without it.

    Raises:
        MimovlError: a process has no GPU.
    """
    device = own_device()
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    options: dict[str, Any] = {"timeout": PATIENCE}
    if not by_torchrun():
        options |= {"store": HashStore(), "rank": 0, "world_size": 1}
    if device.type == "cuda":
        torch.cuda.set_device(device)
    elif by_torchrun() and int(os.environ["WORLD_SIZE"]) > 1:
        torch.set_num_threads(1)  # as in every team: cores are shared out among processes
    dist.init_process_group(backend, **options)
    try:
        yield Team(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


@dataclass(frozen=True)
class Layout:
    """How so many processes are arranged."""

    data: int
    """Groups that share a step's packs."""
    context: int
    """Processes that share the tokens of a pack."""
    replicas: int
    """Groups that repeat parameters."""
    shards: int
    """Processes that divide them."""

    @classmethod
    def of(cls, parallel: ParallelConfig, stage: StageConfig, size: int, *, even: bool = True) -> Layout:
        """Arrange ``size`` processes.

        Args:
            parallel: what the recipe says.
            stage: whose packs are shared.
            size: how many there are.
            even: all must have as many packs, because they divide parameters and pass through the model together.

        Raises:
            RecipeError: they cannot be arranged as the recipe says; names both numbers and the cure.
        """
        where, context = f"stage {stage.name}", parallel.context_parallel
        if size % context:
            raise RecipeError(
                f"{where}: {size} processes cannot be divided into groups of context_parallel {context}; "
                "start a multiple of it"
            )
        data = size // context
        if parallel.data_parallel not in (None, data):
            raise RecipeError(
                f"{where}: data_parallel {parallel.data_parallel} × context_parallel {context} needs "
                f"{(parallel.data_parallel or 1) * context} processes, there are {size}; start as many, or leave "
                "data_parallel unset to use all there are"
            )
        if even and stage.packs % data:
            raise RecipeError(
                f"{where}: packs {stage.packs} of a step do not divide evenly among {data} "
                f"process{'es' if context == 1 else ' groups'}; make packs {-(-stage.packs // data) * data}, or start "
                "a number that divides it"
            )
        machine = int(os.environ.get("LOCAL_WORLD_SIZE", size))
        shards = {"off": 1, "full": size, "hybrid": parallel.shard_size or min(machine, size)}[parallel.fsdp]
        if size % shards:
            raise RecipeError(
                f"{where}: {size} processes cannot be divided into groups of shard_size {shards}; start a multiple "
                "of it, or choose a divisor"
            )
        return cls(data, context, size // shards, shards)


def agree(team: Team, what: str, value: str) -> None:
    """Stop all processes unless every one that has a value has the same.

    Raises:
        DataError: names both values and whose they are.
    """
    values = {rank: one for rank, one in enumerate(team.gather(value)) if one}
    first = next(iter(values), 0)
    if (other := next((rank for rank, one in values.items() if one != values[first]), None)) is not None:
        raise DataError(
            f"the processes disagree on {what}: rank {first} has {values[first]}, rank {other} has {values[other]}; "
            "give all of them the same recipe, overrides and folders"
        )


ONE_REQUEST = 10.0
"""Seconds within which signals are one request."""


class StopRequest:
    """Whether somebody asked this process to end (SIGTERM), so that it ends at a good moment.

    One sent again at least ten seconds later ends it at once; before that it is the same request, passed on by a
    launcher to a group whose members were sent it too. Used as a context manager, in the main thread; elsewhere it
    notices nothing.
    """

    def __init__(self) -> None:
        self.asked = False
        self._since = 0.0
        self._before: Any = None

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _note(self, *_: object) -> None:
        if not self.asked:
            self.asked, self._since = True, time.monotonic()
        elif time.monotonic() - self._since > ONE_REQUEST:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
