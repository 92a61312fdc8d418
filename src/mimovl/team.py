"""A team of processes that train, roll out and evaluate together: the same program in each, gradients summed.

    team = Team(rank, size)         inside: joined through torch.distributed (gloo on the CPU)
    run_team(2, work, args)         from outside: this process is rank 0, the others are started beside it

Two single-threaded processes use two cores far better than one process with two threads: small matrices leave the
second thread idle most of the time. Work is numbered (packs of a step, prompts of an update) and shared out by number,
and sums are taken in that order, so a team of any size computes what one process would.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing

from mimovl.errors import MimovlError, Stopped

__all__ = ["ALONE", "Team", "lost_peer", "run_team"]

T = TypeVar("T")
N = TypeVar("N")
TOGETHER = 1 << 26
"""Numbers exchanged at once."""
PATIENCE = timedelta(hours=6)
"""How long one member waits for another: a whole dataset or base may be made meanwhile."""

_PARTED = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL")
"""What torch says when another process of the team has gone."""


def lost_peer(error: RuntimeError) -> bool:
    """Whether an error only tells that another process has gone, which says itself why."""
    return any(words in str(error) for words in _PARTED)


class Team:
    """One process's view of the team.

    Args:
        rank: this process's number; 0 writes files and talks to people.
        size: how many there are; with 1 nothing is exchanged.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank = rank
        self.size = size

    @property
    def leads(self) -> bool:
        """Whether this process writes files and talks to people."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> list[T]:
        """This process's part of numbered work: every ``size``-th item from ``rank`` on."""
        return list(items[self.rank :: self.size])

    def gather(self, value: T) -> list[T]:
        """Every process's value, in order of rank, in every process."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def broadcast(self, value: T) -> T:
        """The leader's value."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def merge(self, shares: list[T]) -> list[T]:
        """All items of work that :meth:`share` gave out, in their first order."""
        gathered = self.gather(shares)
        merged: list[T] = []
        for number in range(max(len(part) for part in gathered)):
            merged += [part[number] for part in gathered if number < len(part)]
        return merged

    def work_off(self, work: Callable[[N], T], items: Sequence[N], *, chunk: int = 64) -> Iterator[T]:
        """``work(item)`` of every item, in order, to the leader; the others do their part and are given nothing.

        Args:
            work: what to do with an item; its result must be picklable.
            items: the same in every process.
            chunk: items of each process between two exchanges.
        """
        for start in range(0, len(items), chunk * self.size):
            done = self.merge([work(item) for item in self.share(items[start : start + chunk * self.size])])
            if self.leads:
                yield from done

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace every gradient by its sum over the team.

        A missing one counts as zero, but what no member has stays missing, as in one process: an optimizer leaves such
        a parameter alone, and would move one whose gradient is zero.
        """
        if self.size == 1:
            return
        parameters = list(parameters)
        there = torch.tensor([float(parameter.grad is not None) for parameter in parameters])
        dist.all_reduce(there)
        learning = [parameter for parameter, count in zip(parameters, there.tolist(), strict=True) if count]
        for parameter in learning:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self.sum_tensors([parameter.grad for parameter in learning if parameter.grad is not None])

    def sum_tensors(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace every tensor by its sum over the team, a few at a time so that few are there twice."""
        if self.size == 1:
            return
        few: list[torch.Tensor] = []
        for number, tensor in enumerate(tensors, 1):
            few.append(tensor.detach())
            if number == len(tensors) or sum(one.numel() for one in few) >= TOGETHER:
                flat = torch.cat([one.reshape(-1) for one in few])
                dist.all_reduce(flat)
                for one, total in zip(few, torch.split(flat, [one.numel() for one in few]), strict=True):
                    one.copy_(total.view_as(one))
                few = []

    def wait(self) -> None:
        """Until all are here."""
        if self.size > 1:
            dist.barrier()


ALONE = Team()
"""A team of one."""


def run_team(size: int, work: Callable[..., T], arguments: tuple[Any, ...]) -> T:
    """Call ``work(team, *arguments)`` in ``size`` processes, this one being rank 0.

    Args:
        size: how many; 1 calls it right here.
        work: importable by name; its result in this process is returned.
        arguments: picklable.

    Raises:
        MimovlError: another process failed, or whatever ``work`` raises here.
    """
    if size == 1:
        return work(ALONE, *arguments)
    with tempfile.TemporaryDirectory() as folder, _threads(1):
        store = Path(folder) / "store"
        context = multiprocessing.get_context("spawn")
        members = [
            # No daemons: those may not start processes of their own, such as those that read data ahead.
            context.Process(target=_member, args=(rank, size, store, os.getpid(), work, arguments))
            for rank in range(1, size)
        ]
        for member in members:
            member.start()
        try:
            with _joined(0, size, store) as team:
                return work(team, *arguments)
        except RuntimeError as error:  # gloo's word for a lost peer, which may still be ending
            ended = wait([member.sentinel for member in members], timeout=30)
            for member in members:
                member.join(timeout=30 if member.sentinel in ended else 5)
            # One that only lost its peer ends with 1 and says nothing: not the one to name.
            failed = sorted((member for member in members if member.exitcode), key=lambda one: one.exitcode == 1)
            if failed:
                raise MimovlError(
                    f"another process of the run stopped with exit code {failed[0].exitcode}; its message is above"
                ) from error
            raise
        finally:
            for member in members:
                member.join(timeout=5)
                if member.is_alive():
                    member.kill()
                    member.join()


def _member(
    rank: int, size: int, store: Path, leader: int, work: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    """The life of a process beside the leader; it says nothing of what the leader, or whoever failed, tells anyway."""
    _die_with(leader)
    try:
        with _threads(1), _joined(rank, size, store) as team:
            work(team, *arguments)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Stopped:  # asked of one, heeded by all
        raise SystemExit(143) from None
    except MimovlError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except RuntimeError as error:
        if lost_peer(error):
            raise SystemExit(1) from None
        raise


def _die_with(leader: int) -> None:
    """End this process if the leader ends, however it does (Linux; elsewhere the lost connection ends it)."""
    with contextlib.suppress(OSError, AttributeError):
        import ctypes
        import signal

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != leader:
        raise SystemExit(1)


@contextlib.contextmanager
def _joined(rank: int, size: int, store: Path) -> Iterator[Team]:
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size, timeout=PATIENCE)
    try:
        yield Team(rank, size)
    finally:
        dist.destroy_process_group()


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """Compute with so many threads: cores are shared out among processes."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
