"""Processes are arranged as the recipe says or refused; they agree or are stopped; they can be asked to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
import torch

from mimovl.errors import DataError, MimovlError, RecipeError
from mimovl.team import Team
from mimovl.train.distributed import Layout, StopRequest, agree, by_torchrun, joined, own_device
from mimovl.train.parallel_config import ParallelConfig
from tests import tiny

TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def layout(size: int, packs: int = 8, **parallel: object) -> Layout:
    return Layout.of(ParallelConfig.model_validate(parallel), tiny.stage(packs=packs), size)


@pytest.mark.parametrize(
    ("size", "parallel", "expected"),
    [
        (1, {}, Layout(data=1, context=1, replicas=1, shards=1)),
        (4, {}, Layout(data=4, context=1, replicas=4, shards=1)),
        (4, {"fsdp": "full"}, Layout(data=4, context=1, replicas=1, shards=4)),
        (8, {"fsdp": "hybrid", "shard_size": 2}, Layout(data=8, context=1, replicas=4, shards=2)),
        (8, {"fsdp": "full", "context_parallel": 4}, Layout(data=2, context=4, replicas=1, shards=8)),
        (8, {"fsdp": "off", "context_parallel": 2, "data_parallel": 4}, Layout(4, 2, 8, 1)),
    ],
)
def test_processes_are_arranged_as_the_recipe_says(size: int, parallel: dict, expected: Layout) -> None:
    assert layout(size, **parallel) == expected


def test_hybrid_divides_within_a_machine_unless_told_otherwise(monkeypatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert layout(8, fsdp="hybrid") == Layout(data=8, context=1, replicas=4, shards=2)


@pytest.mark.parametrize(
    ("size", "parallel", "message"),
    [
        (3, {"context_parallel": 2}, "stage general: 3 processes cannot be divided into groups of context_parallel 2"),
        (4, {"data_parallel": 2}, "data_parallel 2 × context_parallel 1 needs 2 processes, there are 4"),
        (6, {"fsdp": "hybrid", "shard_size": 4, "context_parallel": 3}, "6 processes .* groups of shard_size 4"),
        (3, {}, "packs 8 of a step do not divide evenly among 3 processes; make packs 9"),
        (6, {"context_parallel": 2}, "packs 8 of a step do not divide evenly among 3 process groups; make packs 9"),
    ],
)
def test_what_cannot_be_arranged_is_refused_with_both_numbers(size: int, parallel: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        layout(size, **parallel)


class Told(Team):
    """A team whose other members say what the test says."""

    def __init__(self, *others: str) -> None:
        super().__init__(0, 1 + len(others))
        self.others = others

    def gather(self, value):
        return [value, *self.others]


def test_processes_that_disagree_are_stopped_with_both_values() -> None:
    with pytest.raises(DataError, match="disagree on the data: rank 0 has aa, rank 2 has bb; give all of them"):
        agree(Told("aa", "bb"), "the data", "aa")
    with pytest.raises(DataError, match="rank 1 has aa, rank 2 has bb"):
        agree(Told("aa", "bb"), "the data", "")
    agree(Told("aa", ""), "the data", "aa")


def test_torchrun_is_known_by_its_variables(monkeypatch) -> None:
    for name in TORCHRUN:
        monkeypatch.delenv(name, raising=False)
    assert not by_torchrun()
    for name in TORCHRUN:
        monkeypatch.setenv(name, "1")
    assert by_torchrun()


def test_a_process_alone_joins_a_group_of_one(monkeypatch) -> None:
    for name in TORCHRUN:
        monkeypatch.delenv(name, raising=False)
    with joined() as team:
        assert (team.rank, team.size) == (0, 1) and torch.distributed.is_initialized()
    assert not torch.distributed.is_initialized()


def test_more_processes_than_gpus_are_refused_with_both_numbers(monkeypatch) -> None:
    assert own_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(MimovlError, match="process 2 of this machine has no GPU .* there are 2; .*--nproc-per-node 2"):
        own_device()


def test_a_request_to_end_is_noted_and_a_later_one_obeyed_at_once() -> None:
    """torchrun passes on what its processes were sent too: within seconds it is one request."""
    with StopRequest() as stop:
        assert not stop.asked
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    twice = """
import os, signal
from mimovl.train import distributed
with distributed.StopRequest() as stop:
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    print("saves", stop.asked, flush=True)
    distributed.ONE_REQUEST = 0
    os.kill(os.getpid(), signal.SIGTERM)
"""
    ended = subprocess.run([sys.executable, "-c", twice], timeout=120, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (-signal.SIGTERM, "saves True\n")
