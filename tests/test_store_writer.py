"""Writing: whole or not at all, each picture once, every drop listed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from mimovl.errors import DataError, UsageError
from mimovl.store import Dataset, DatasetWriter, Drop
from tests.store_samples import picture, sample


def test_the_manifest_tells_what_was_kept_dropped_and_by_which_recipe(tmp_path: Path) -> None:
    shared = picture(1)
    with DatasetWriter(tmp_path / "d", recipe_hash="abc") as writer:
        writer.add(sample(1, shared))
        writer.add(sample(2, shared, picture(2), task="ocr", source="world/ocr"))
        writer.drop("x", "too_small", "3×3")
        writer.drop("y", "too_small")
        writer.drop("z \ud800", "corrupt")
        writer.notes["clipped_boxes"] = 4
    manifest = json.loads((tmp_path / "d" / "manifest.json").read_text())
    assert manifest["recipe_hash"] == "abc"
    assert manifest["counts"]["kept"] == 2
    assert manifest["counts"]["dropped"] == {"corrupt": 1, "too_small": 2}
    assert manifest["counts"]["by_task"] == {"counting": 1, "ocr": 1}
    assert manifest["counts"]["by_language"] == {"en": 1, "zh": 1}
    assert manifest["counts"]["media"] == 2
    assert manifest["notes"] == {"clipped_boxes": 4}
    assert manifest["seconds"] >= 0
    assert Dataset.open(tmp_path / "d").drops()[:2] == [Drop("x", "too_small", "3×3"), Drop("y", "too_small", "")]


def test_each_picture_is_stored_once_under_its_hash_where_webdataset_finds_it(tmp_path: Path) -> None:
    shared = picture(1)
    with DatasetWriter(tmp_path / "d") as writer:
        for number in range(5):
            writer.add(sample(number, shared, picture(number + 10)))
    with tarfile.open(tmp_path / "d" / "media-00000.tar") as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    assert len(members) == 6
    assert members[f"{shared.sha256}.png"] == shared.data


def test_equal_samples_give_equal_files(tmp_path: Path) -> None:
    for name in "ab":
        with DatasetWriter(tmp_path / name) as writer:
            for number in range(20):
                writer.add(sample(number, picture(number)))
    for file in ("records-00000.parquet", "media-00000.tar", "media.parquet"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_large_datasets_are_cut_into_shards_and_read_as_one(tmp_path: Path) -> None:
    samples = [sample(number, picture(number)) for number in range(2500)]
    with DatasetWriter(tmp_path / "d", shard_bytes=100_000) as writer:
        for one in samples:
            writer.add(one)
    dataset = Dataset.open(tmp_path / "d")
    assert dataset.manifest["media_shards"] > 3 and dataset.manifest["record_shards"] > 1
    assert [dataset[i] for i in (0, 1023, 1024, 2047, 2048, 2499)] == [
        samples[i] for i in (0, 1023, 1024, 2047, 2048, 2499)
    ]
    assert dataset.ids == [one.id for one in samples]


def test_a_refused_sample_leaves_the_writer_as_it_was(tmp_path: Path) -> None:
    good, media = sample(1, picture(1)), picture(2)
    lying = replace(media, data=media.data + b"!")
    with DatasetWriter(tmp_path / "d") as writer:
        writer.add(good)
        with pytest.raises(DataError, match="two samples have the id 's1'"):
            writer.add(good)
        with pytest.raises(DataError, match="is not the SHA-256 of its"):
            writer.add(sample(2, picture(3), lying))
        with pytest.raises(DataError, match="was stored as"):
            writer.add(sample(2, replace(picture(1), width=999)))
        writer.add(sample(2, picture(1)))
    dataset = Dataset.open(tmp_path / "d")
    assert dataset.ids == ["s1", "s2"] and dataset.manifest["counts"]["media"] == 1


def test_an_exception_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), DatasetWriter(tmp_path / "d") as writer:
        writer.add(sample(1, picture(1)))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_an_existing_dataset_is_not_overwritten(tmp_path: Path) -> None:
    DatasetWriter(tmp_path / "d").close()
    with pytest.raises(UsageError, match="exists and is not empty"):
        DatasetWriter(tmp_path / "d")
    assert len(Dataset.open(tmp_path / "d")) == 0


def test_a_killed_writer_leaves_nothing_that_looks_finished_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    program = (
        "import sys, time\n"
        "from mimovl.store import DatasetWriter\n"
        "from tests.store_samples import picture, sample\n"
        "writer = DatasetWriter(sys.argv[1])\n"
        "for number in range(1100): writer.add(sample(number, picture(number)))\n"
        "print('written', flush=True)\n"
        "time.sleep(60)\n"
    )
    root = Path(__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "d")], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert child.stdout is not None and child.stdout.readline() == "written\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert not (tmp_path / "d").exists()
    assert len(list(tmp_path.iterdir())) == 1
    with DatasetWriter(tmp_path / "d") as writer:
        writer.add(sample(1, picture(1)))
    assert [path.name for path in tmp_path.iterdir()] == ["d"]
    assert Dataset.open(tmp_path / "d")[0] == sample(1, picture(1))
