"""A batch arrives whole, wherever it goes, and is there before it is used."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch

from mimovl.train.transfer import to_device
from mimovl.types import PackedBatch
from tests.data import small
from tests.pretend_cuda import pretend_cuda, waits


def batch() -> PackedBatch:
    return small.batch([small.processor().encode(small.conversation(small.picture(131, 97), id="one"))])


def same(one: PackedBatch, other: PackedBatch) -> bool:
    pairs = [(getattr(one, field.name), getattr(other, field.name)) for field in fields(PackedBatch) if field.compare]
    return all(torch.equal(a.cpu(), b.cpu()) if isinstance(a, torch.Tensor) else a == b for a, b in pairs)


def test_on_the_cpu_it_is_the_same() -> None:
    assert same(to_device(batch(), torch.device("cpu")), batch())


def test_what_is_read_of_a_moved_batch_is_read_where_it_came_from() -> None:
    with pretend_cuda():
        came, gpu = batch(), torch.device("cuda", 0)
        for moved in (came.to(gpu), to_device(came, gpu), came.to(gpu).to(gpu)):
            assert moved.tokens.is_cuda and not moved.on_host.tokens.is_cuda
            assert same(moved.on_host, came) and moved.bounds == came.bounds == came.cu_seqlens.tolist()
        assert came.on_host is came and came.to("cpu").on_host.tokens is came.tokens
        assert not waits
        changed = replace(came.to(gpu), labels=came.to(gpu).labels + 1)  # is no longer what came
        assert torch.equal(changed.on_host.labels, came.labels + 1)
        assert waits


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_it_is_the_same_while_the_gpu_is_busy() -> None:
    busy = torch.randn(4096, 4096, device="cuda")
    for _ in range(5):
        for _ in range(20):
            busy = busy @ busy * 1e-3
        moved = to_device(batch(), torch.device("cuda"))
        assert moved.tokens.is_cuda and same(moved, batch())
