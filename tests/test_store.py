"""Reading: cheap records, random access, and a clear word about damage."""

from __future__ import annotations

import json
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mimovl.errors import DataError, UsageError
from mimovl.store import Dataset, DatasetWriter, Record, RecordMedia
from mimovl.types import Sample
from tests.store_samples import picture, sample

SAMPLES = [sample(number, picture(number % 7), picture(100 + number)) for number in range(30)]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "d"
    with DatasetWriter(path) as writer:
        for one in SAMPLES:
            writer.add(one)
    return path


@pytest.fixture
def copy(written: Path, tmp_path: Path) -> Path:
    return shutil.copytree(written, tmp_path / "copy")


def test_samples_come_back_as_they_went_in(written: Path) -> None:
    dataset = Dataset.open(written)
    assert len(dataset) == 30
    assert list(dataset) == SAMPLES
    assert dataset[-1] == SAMPLES[-1]
    assert dataset[3:5] == SAMPLES[3:5]
    assert dataset.find("s7") == SAMPLES[7]
    with pytest.raises(IndexError, match="has 30 samples, asked for number 30"):
        dataset[30]
    with pytest.raises(UsageError, match="no sample with the id 's99'"):
        dataset.find("s99")


def test_records_need_no_media(copy: Path) -> None:
    (copy / "media-00000.tar").write_bytes(b"\0" * (copy / "media-00000.tar").stat().st_size)
    dataset = Dataset.open(copy)
    media = tuple(RecordMedia(m.sha256, "image", len(m.data), 28, 56, 1, 0.0) for m in SAMPLES[9].media.values())
    assert dataset.records[9] == Record("s9", "counting", "world/counting", "zh", media)
    assert dataset.ids[:2] == ["s0", "s1"]
    assert dataset.counts_by_source == {"world/counting": 30} and dataset.counts_by_task == {"counting": 30}


def test_a_dataset_is_pickled_without_its_data_and_read_from_many_threads(written: Path) -> None:
    dataset = Dataset.open(written)
    assert list(dataset) == SAMPLES
    packed = pickle.dumps(dataset)
    assert len(packed) < 4000
    again: Dataset = pickle.loads(packed)

    def read(index: int) -> Sample:
        return again[index % 30]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(read, range(120))) == SAMPLES * 4


def test_a_folder_that_is_no_dataset_is_refused_with_the_cure(tmp_path: Path, written: Path) -> None:
    with pytest.raises(UsageError, match="no such dataset folder"):
        Dataset.open(tmp_path / "none")
    with pytest.raises(DataError, match="no manifest.json: not a dataset; give the folder of one that mimovl made"):
        Dataset.open(tmp_path)
    with pytest.raises(DataError, match=f"did you mean {written}"):
        Dataset.open(written.parent)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        Dataset.open(tmp_path)
    (tmp_path / "manifest.json").write_text('{"format": "other"}')
    with pytest.raises(DataError, match="does not describe"):
        Dataset.open(tmp_path)


def test_a_newer_format_names_both_versions(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(manifest | {"version": 9}))
    with pytest.raises(DataError, match="format version 9, this mimovl reads 1"):
        Dataset.open(copy)


@pytest.mark.parametrize("name", ["records-00000.parquet", "media-00000.tar", "media.parquet"])
def test_a_missing_or_short_file_is_found_at_opening(copy: Path, name: str) -> None:
    data = (copy / name).read_bytes()
    (copy / name).write_bytes(data[:-10])
    with pytest.raises(DataError, match=f"{name} has {len(data) - 10} bytes, the manifest says {len(data)}; .*delete"):
        Dataset.open(copy)
    (copy / name).unlink()
    with pytest.raises(DataError, match=f"{name} is missing; the dataset is damaged"):
        Dataset.open(copy)


@pytest.mark.parametrize("name", ["records-00000.parquet", "media-00000.tar", "media.parquet"])
@pytest.mark.parametrize("place", [0.0, 0.3, 0.9])
def test_flipped_bytes_are_an_error_or_harmless_but_never_wrong_data(copy: Path, name: str, place: float) -> None:
    data = bytearray((copy / name).read_bytes())
    at = int(len(data) * place)
    data[at : at + 16] = bytes(255 - byte for byte in data[at : at + 16])
    (copy / name).write_bytes(data)
    dataset = Dataset.open(copy)
    try:
        assert list(dataset) == SAMPLES
    except DataError as error:
        assert "delete" in str(error)


def test_peeking_reads_no_media_and_opens_each_where_it_lies(tmp_path: Path) -> None:
    pictures = [picture(number) for number in range(3)]
    with DatasetWriter(tmp_path / "d", shard_bytes=1) as writer:
        writer.add(sample(0, *pictures))
    dataset = Dataset.open(tmp_path / "d")
    peeked, opens = dataset.peek(0)
    assert peeked.messages == dataset[0].messages and [media.data for media in peeked.media.values()] == [b""] * 3
    assert [(media.width, media.height) for media in peeked.media.values()] == [(28, 56)] * 3
    for media in pictures:
        with opens(media.sha256) as file:
            assert file.read(8) == media.data[:8]
            file.seek(0)
            assert file.read() == media.data


def many(folder: Path, count: int = 3000) -> Path:
    """A dataset of several shards of records."""
    with DatasetWriter(folder, shard_bytes=1) as writer:
        for number in range(count):
            writer.add(sample(number))
    return folder


def test_a_damaged_shard_is_refused_or_skipped_as_asked(tmp_path: Path) -> None:
    path = many(tmp_path / "d")
    whole = Dataset.open(path)
    assert whole.manifest["record_shards"] == 3 and whole.starts == [0, 1024, 2048, 3000] and not whole.damaged
    (path / "records-00001.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="records-00001.parquet has 4 bytes, the manifest says"):
        Dataset.open(path)
    rest = Dataset.open(path, skip_damaged=True)
    assert list(rest.damaged) == ["records-00001.parquet"]
    assert [one.id for one in rest] == [f"s{n}" for n in (*range(1024), *range(2048, 3000))]
    assert rest.ids == [one.id for one in rest] and len(pickle.loads(pickle.dumps(rest))) == len(rest) == 1976


def test_a_shard_of_full_size_that_cannot_be_opened_is_skipped_too(tmp_path: Path) -> None:
    path = many(tmp_path / "d")
    shard = path / "records-00002.parquet"
    shard.write_bytes(bytes(shard.stat().st_size))
    with pytest.raises(DataError, match="records-00002.parquet cannot be read"):
        Dataset.open(path)[0]
    rest = Dataset.open(path, skip_damaged=True)
    assert len(rest) == 2048 and "records-00002.parquet cannot be read" in rest.damaged["records-00002.parquet"]


def test_without_the_index_of_media_nothing_can_be_skipped(tmp_path: Path) -> None:
    path = many(tmp_path / "d", 3)
    (path / "media.parquet").unlink()
    with pytest.raises(DataError, match="media.parquet is missing"):
        Dataset.open(path, skip_damaged=True)
