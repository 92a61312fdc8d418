"""Media are packed without holes, tars that are needed whole are linked, both give the same bytes."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from mimovl.curate.pipeline import Limits, curate, finish
from mimovl.curate.pipeline.finish import Pack, pack
from mimovl.curate.pipeline.shard import Lying
from mimovl.store import Dataset
from mimovl.store_format import tar_header
from tests.curate.pipeline.parts import DropEven, Numbers, picture


def tar(path: Path, seeds: list[int]) -> list[Lying]:
    found = []
    with path.open("wb") as file:
        for seed in seeds:
            media = picture(seed)
            file.write(tar_header(media))
            found.append(Lying(path, media.sha256, "image", file.tell(), len(media.data), 32, 24, 1, 0.0))
            file.write(media.data + bytes(-len(media.data) % 512))
        file.write(bytes(1024))
    return found


def test_a_pack_is_a_tar_of_the_members_wanted(tmp_path: Path) -> None:
    one, two = tar(tmp_path / "1", [1, 2, 3]), tar(tmp_path / "2", [4, 5])
    job = Pack(tmp_path / "out.tar")
    wanted = [one[0], one[2], two[0], two[1]]
    offsets = [job.add(lying) for lying in wanted]
    assert len(job.spans) == 3 and job.whole is None
    pack(b"", job)
    data = (tmp_path / "out.tar").read_bytes()
    assert [data[o : o + w.size] for o, w in zip(offsets, wanted, strict=True)] == [
        picture(s).data for s in (1, 3, 4, 5)
    ]
    with tarfile.open(tmp_path / "out.tar") as opened:
        assert [member.name.partition(".")[0] for member in opened] == [lying.sha256 for lying in wanted]


def test_a_whole_tar_is_linked_and_equal_to_its_copy(tmp_path: Path) -> None:
    job = Pack(tmp_path / "out.tar")
    for lying in tar(tmp_path / "1", [1, 2, 3]):
        job.add(lying)
    assert job.whole == tmp_path / "1"
    pack(b"", job)
    assert (tmp_path / "out.tar").stat().st_ino == (tmp_path / "1").stat().st_ino


def test_linked_and_packed_datasets_hold_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(task_items=20)
    curate([Numbers(pictures=100)], [], tmp_path / "packed", workers=0, limits=limits)
    monkeypatch.setattr(finish, "_ALONE_BYTES", 1)
    curate([Numbers(pictures=100)], [], tmp_path / "linked", workers=0, limits=limits)
    packed, linked = Dataset.open(tmp_path / "packed"), Dataset.open(tmp_path / "linked")
    assert (packed.manifest["media_shards"], linked.manifest["media_shards"]) == (1, 5)
    assert list(packed) == list(linked)


def test_nothing_kept_is_a_dataset_too(tmp_path: Path) -> None:
    curate([Numbers(count=1)], [DropEven()], tmp_path / "out", workers=0)
    dataset = Dataset.open(tmp_path / "out")
    assert len(dataset) == 0 and list(dataset) == [] and [drop.reason for drop in dataset.drops()] == ["even"]
