"""Safetensors written and read a piece at a time; the library's own loader is the referee."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mimovl.errors import CheckpointError
from mimovl.model import shards
from mimovl.model.shards import PlannedTensor, read_pieces, stored_tensors, write_shards

SHAPES = {"matrix": (7, 5), "wide": (3, 400), "vector": (11,), "scalar": (), "none": (0, 4), "conv": (2, 3, 2, 4, 4)}


def tensors(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}


def planned(values: dict[str, torch.Tensor], dtype: torch.dtype) -> list[PlannedTensor]:
    """Handed over in pieces of uneven size."""
    return [
        PlannedTensor(name, tuple(value.shape), dtype, lambda value=value: iter(value.reshape(-1).split(13)))  # type: ignore[misc]
        for name, value in values.items()
    ]


@pytest.fixture(params=[10**9, 600], ids=["whole", "sharded"])
def shard_bytes(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_library_loads_what_was_written(tmp_path: Path, dtype: torch.dtype, shard_bytes: int) -> None:
    values = tensors()
    files = write_shards(tmp_path, planned(values, dtype), shard_bytes)
    loaded = {name: tensor for file in files for name, tensor in load_file(file).items()}
    assert loaded.keys() == values.keys()
    for name, value in values.items():
        assert torch.equal(loaded[name], value.to(dtype)) and loaded[name].dtype == dtype, name


def test_shards_stay_within_their_size_and_the_index_names_each_tensor_once(tmp_path: Path) -> None:
    files = write_shards(tmp_path, planned(tensors(), torch.float32), 600)
    assert [file.name for file in files] == [f"model-{n:05d}-of-00004.safetensors" for n in (1, 2, 3, 4)]
    held = {file.name: load_file(file) for file in files}
    for found in held.values():
        assert len(found) == 1 or sum(tensor.nbytes for tensor in found.values()) <= 600
    index = json.loads((tmp_path / shards.INDEX).read_text())
    assert index["weight_map"] == {name: file for file, found in held.items() for name in found}
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in tensors().values())


@pytest.mark.parametrize("piece_bytes", [1, 50, 2**20])
def test_pieces_put_together_are_the_tensor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece_bytes: int) -> None:
    save_file(tensors(), tmp_path / "model.safetensors")
    monkeypatch.setattr(shards, "PIECE_BYTES", piece_bytes)
    stored = stored_tensors(tmp_path)
    assert {name: found.shape for name, found in stored.items()} == SHAPES
    for name, value in tensors().items():
        pieces = list(read_pieces(stored[name]))
        assert torch.equal(torch.cat([*pieces, torch.zeros(0)]), value.reshape(-1)), name
        row = value[0].nbytes if value.ndim and len(value) else 4
        assert all(piece.nbytes <= max(piece_bytes, row) for piece in pieces)


def test_a_tensor_passes_from_file_to_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    save_file(tensors(), tmp_path / "a" / "model.safetensors")
    plan = [
        PlannedTensor(name, found.shape, torch.float32, lambda found=found: read_pieces(found))  # type: ignore[misc]
        for name, found in stored_tensors(tmp_path / "a").items()
    ]
    write_shards(tmp_path / "b", plan, 10**9)
    for name, value in load_file(tmp_path / "b" / "model.safetensors").items():
        assert torch.equal(value, tensors()[name])


def test_progress_counts_every_byte_once(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    write_shards(tmp_path, planned(tensors(), torch.float32), 600, lambda done, total: seen.append((done, total)))
    total = sum(tensor.nbytes for tensor in tensors().values())
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(("value", "dtype"), [(float("nan"), torch.float32), (1e6, torch.float16)])
def test_a_value_that_is_not_finite_in_the_file_is_refused(tmp_path: Path, value: float, dtype: torch.dtype) -> None:
    values = tensors()
    values["vector"][3] = value
    with pytest.raises(CheckpointError, match=f"tensor vector holds values that are not finite as {str(dtype)[6:]}"):
        write_shards(tmp_path, planned(values, dtype), 10**9)


def test_a_byte_that_changes_on_the_disk_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = shards._write_shard

    def flip(file: Path, *arguments: object) -> dict[str, bytes]:
        digests = write(file, *arguments)  # type: ignore[arg-type]
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data)
        return digests

    monkeypatch.setattr(shards, "_write_shard", flip)
    with pytest.raises(CheckpointError, match="model.safetensors: tensor conv reads back differently"):
        write_shards(tmp_path, planned(tensors(), torch.float32), 10**9)


def test_a_header_that_changes_on_the_disk_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = shards._write_shard

    def rename(file: Path, *arguments: object) -> dict[str, bytes]:
        digests = write(file, *arguments)  # type: ignore[arg-type]
        file.write_bytes(file.read_bytes().replace(b'"vector"', b'"vectqr"'))
        return digests

    monkeypatch.setattr(shards, "_write_shard", rename)
    with pytest.raises(CheckpointError, match=r"tensor vector reads back as None, not \('F32', \(11,\)\)"):
        write_shards(tmp_path, planned(tensors(), torch.float32), 10**9)


FULL = """
import resource, sys
import torch
from pathlib import Path
from mimovl.errors import CheckpointError
from mimovl.model.shards import PlannedTensor, write_shards
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
tensor = PlannedTensor("big", (100, 1000), torch.float32, lambda: iter(torch.zeros(100, 1000).reshape(-1).split(5000)))
try:
    write_shards(Path(sys.argv[1]), [tensor], 10**9)
except CheckpointError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="this system limits no file sizes")
def test_a_disk_that_takes_no_more_is_one_error_with_both_numbers(tmp_path: Path) -> None:
    """A limit on file sizes stands for the full disk: the kernel refuses the same system call."""
    source = Path(__file__).parents[2] / "src"
    ended = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True,
                           env={"PYTHONPATH": str(source)}, timeout=600)  # fmt: skip
    assert "model.safetensors: File too large after 80,000 of 400,000 bytes of weights; make room" in ended.stdout


def test_a_tensor_in_two_files_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_file({"x": torch.ones(2)}, tmp_path / f"{name}.safetensors")
    with pytest.raises(CheckpointError, match=r"b.safetensors: tensor x is also in a.safetensors; keep one"):
        stored_tensors(tmp_path)


@pytest.mark.parametrize("keep", [0, 9, -1])
def test_a_truncated_file_is_named(tmp_path: Path, keep: int) -> None:
    file = tmp_path / "model.safetensors"
    save_file(tensors(), file)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="model.safetensors: not a whole safetensors file"):
        stored_tensors(tmp_path)


def test_no_weights_a_broken_index_and_a_missing_shard_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no \*.safetensors file"):
        stored_tensors(tmp_path)
    (tmp_path / shards.INDEX).write_text("{")
    with pytest.raises(CheckpointError, match=f"{shards.INDEX}: cannot be read as a shard index"):
        stored_tensors(tmp_path)
    (tmp_path / shards.INDEX).write_text('{"weight_map": {"x": "gone.safetensors"}}')
    with pytest.raises(CheckpointError, match="gone.safetensors: named by the index but missing"):
        stored_tensors(tmp_path)
