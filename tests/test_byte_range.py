import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimovl.byte_range import open_range

DATA = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("range") / "shard.tar"
    file.write_bytes(DATA)
    return file


@given(
    offset=st.integers(0, 9000),
    size=st.integers(0, 3000),
    steps=st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.integers(-50, 3000), st.integers(0, 5000)), max_size=6),
)
def test_a_range_reads_and_seeks_as_a_file_of_its_bytes_alone(path, offset, size, steps) -> None:
    like = io.BytesIO(DATA[offset : offset + size])
    size = len(like.getvalue())
    with open_range(path, offset, size) as file:
        for whence, move, count in steps:
            there = {0: 0, 1: like.tell(), 2: size}[whence] + move
            if there < 0:
                continue
            assert file.seek(move, whence) == like.seek(there)
            assert file.read(count) == like.read(count)
            assert file.tell() == like.tell()
        file.seek(0)
        assert file.read() == like.getvalue()


def test_closing_it_closes_the_file_below(path) -> None:
    file = open_range(path, 10, 20)
    below = file.raw._file
    file.close()
    assert below.closed


def test_a_file_that_is_not_there(tmp_path) -> None:
    with pytest.raises(FileNotFoundError):
        open_range(tmp_path / "none", 0, 5)
