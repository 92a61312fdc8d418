import pickle

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mimovl.data import parquet_folder
from mimovl.data.parquet_folder import ParquetFolder
from mimovl.errors import DataError, UsageError
from tests.data import parquet_samples as plain


@pytest.fixture
def folder(tmp_path):
    return plain.write_folder(tmp_path / "data", 50)


def spoil(path, group=1):
    """Damage the pages of one row group; the footer stays whole."""
    column = pq.read_metadata(path).row_group(group).column(0)
    raw = bytearray(path.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    raw[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(raw)


def test_samples_come_in_the_order_of_files_and_rows(folder) -> None:
    samples = ParquetFolder(folder)
    assert [samples[number].id for number in range(len(samples))] == [f"s{number}" for number in range(50)]
    assert samples.starts == [0, 8, 16, 24, 32, 33, 41, 49, 50] and len(samples.sizes) == 8
    assert [part.type for part in samples[5].messages[0].content] == ["image", "image", "text"]
    with pytest.raises(IndexError, match="has 50 samples, asked for number 50"):
        samples[50]


def test_files_below_the_folder_count_and_unknown_columns_are_not_read(tmp_path) -> None:
    rows = [{**plain.row(number), "huge": b"x" * 1000} for number in range(3)]
    schema = plain.SCHEMA.append(pa.field("huge", pa.binary()))
    plain.write_file(tmp_path / "data" / "train-0.parquet", rows, schema=schema)
    samples = ParquetFolder(tmp_path)
    assert samples[2].id == "s2"
    assert "huge" not in samples._group(0).column_names


def test_a_row_group_is_decoded_once_for_its_neighbours_and_forgotten_beyond_a_bound(folder, monkeypatch) -> None:
    samples = ParquetFolder(folder)
    read = []
    real = pq.ParquetFile.read_row_group
    monkeypatch.setattr(pq.ParquetFile, "read_row_group", lambda self, n, **o: read.append(n) or real(self, n, **o))
    for number in (0, 3, 1, 9, 2):
        samples[number]
    assert len(read) == 2
    monkeypatch.setattr(parquet_folder, "CACHE_BYTES", 1)
    small_cache = ParquetFolder(folder)
    read.clear()
    for number in (0, 9, 0, 9, 10):
        small_cache[number]
    assert len(read) == 4 and len(small_cache._cache) == 1
    assert small_cache._cached == sum(table.nbytes for table in small_cache._cache.values())


def test_a_copy_in_another_process_reads_for_itself(folder) -> None:
    samples = ParquetFolder(folder)
    whole = samples[3]
    copy = pickle.loads(pickle.dumps(samples))
    assert not copy._cache and copy[3] == whole and copy.fingerprint == samples.fingerprint


def test_the_fingerprint_changes_with_the_files(folder) -> None:
    before = ParquetFolder(folder).fingerprint
    plain.write_file(folder / "train-00003.parquet", [plain.row(99)])
    assert ParquetFolder(folder).fingerprint != before


def test_a_file_that_is_no_parquet_is_named_with_the_cure_or_left_out(folder) -> None:
    (folder / "train-00001-of-00003.parquet").write_bytes(b"PAR1 and nothing")
    with pytest.raises(DataError, match=r"train-00001-of-00003.parquet cannot be read .*loading.damaged: drop"):
        ParquetFolder(folder)
    rest = ParquetFolder(folder, skip_damaged=True)
    assert list(rest.damaged) == ["train-00001-of-00003.parquet"]
    assert [rest[n].id for n in range(len(rest))] == [f"s{n}" for n in (*range(16), *range(33, 50))]


def test_a_damaged_row_group_is_named_and_the_others_are_read(folder) -> None:
    spoil(folder / "train-00001-of-00003.parquet")
    samples = ParquetFolder(folder)
    with pytest.raises(DataError, match=r"train-00001-of-00003.parquet, row group 1 cannot be read .*drop\) to go on"):
        samples[24]
    assert samples[23].id == "s23" and samples[32].id == "s32"


def test_text_that_is_none_is_damage_too(tmp_path) -> None:
    """Files of other writers have no checksums, so damage shows where a text is read."""
    path = tmp_path / "a.parquet"
    table = pa.Table.from_pylist([plain.row(number) for number in range(3)], schema=plain.SCHEMA)
    pq.write_table(table, path, compression="none", use_dictionary=False, write_statistics=False)
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"How many red", b"How \xff\xfe\xfd\xfc red"))
    with pytest.raises(DataError, match=r"a.parquet, row group 0 cannot be read \('utf-8' codec .*drop\) to go on"):
        ParquetFolder(tmp_path)[0]


def test_folders_that_hold_no_samples(tmp_path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        ParquetFolder(tmp_path / "none")
    with pytest.raises(DataError, match="holds no parquet file"):
        ParquetFolder(tmp_path)
    pq.write_table(pa.table({"text": ["a"], "url": ["b"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="a.parquet has no column messages, only text, url"):
        ParquetFolder(tmp_path)
