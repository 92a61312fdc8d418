import gc
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from mimovl.data import shared_memory
from mimovl.data.shared_memory import Joined, receive, send


def pipe():
    return multiprocessing.get_context("spawn").Pipe(duplex=True)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("memory", ["anonymous", "temporary"])
def test_arrays_arrive_as_they_were_and_can_be_written_to(memory, monkeypatch) -> None:
    if memory == "temporary":
        monkeypatch.delattr(os, "memfd_create")
    one, two = pipe()
    value = {
        "patches": np.arange(3000, dtype=np.float32).reshape(30, 100),
        "tokens": np.arange(7),
        "none": np.zeros((0, 4)),
        "text": "多少",
    }
    send(one, value, os.getpid())
    got = receive(two)
    assert got.keys() == value.keys() and got["text"] == "多少"
    for name in ("patches", "tokens", "none"):
        assert np.array_equal(got[name], value[name]) and got[name].dtype == value[name].dtype
        assert got[name].ctypes.data % 64 == 0 or not got[name].size
    got["patches"][:] = 1
    assert value["patches"][0, 0] == 0, "the sender's own array was written to"
    one.close()
    two.close()


def test_joined_arrays_arrive_as_one() -> None:
    one, two = pipe()
    parts = [np.arange(12.0).reshape(4, 3), np.ones((0, 3)), np.arange(12.0).reshape(4, 3)[::2]]
    send(one, ["a", {"patches": Joined(parts), "other": np.arange(5)}], os.getpid())
    name, values = receive(two)
    assert name == "a" and values["other"].tolist() == [0, 1, 2, 3, 4]
    assert np.array_equal(values["patches"], np.concatenate(parts))
    values["patches"][0] = 7  # the receiver's own


def test_only_a_description_goes_through_the_pipe() -> None:
    one, two = pipe()
    send(one, np.zeros(10_000_000), os.getpid())  # 80 MB would fill the pipe, and this test would hang
    assert receive(two).nbytes == 80_000_000


def test_plain_values_need_no_shared_memory(monkeypatch) -> None:
    monkeypatch.setattr(shared_memory, "_anonymous_file", lambda: pytest.fail("asked for shared memory"))
    one, two = pipe()
    send(one, [1, "a", None, np.zeros(0)], os.getpid())
    assert receive(two)[:3] == [1, "a", None]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks into /proc")
def test_the_memory_goes_with_the_last_array_and_no_descriptor_stays_open() -> None:
    one, two = pipe()
    before = descriptors()
    for _ in range(20):
        send(one, {"a": np.ones(100_000), "b": np.ones(5)}, os.getpid())
        kept = receive(two)["b"]
    assert kept.sum() == 5
    assert descriptors() <= before + 1
    del kept
    gc.collect()
    assert "memfd:mimovl" not in Path("/proc/self/maps").read_text()


def test_a_sender_that_is_gone_is_an_end_of_file() -> None:
    one, two = pipe()
    one.close()
    with pytest.raises(EOFError):
        receive(two)
