"""Parquet files: row groups as units, pictures inside or beside, damage as drops."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mimovl.curate.readers.parquet import Parquet
from tests.curate.readers.reading import encoded, kept, read_all, reasons, text_of, write


def table(count: int) -> pa.Table:
    return pa.table(
        {
            "caption": [f"c{n}" for n in range(count)],
            "image": [{"bytes": encoded(n % 5), "path": None} for n in range(count)],
            "score": [n / 2 for n in range(count)],
        }
    )


def test_rows_are_named_by_their_place_in_the_file(tmp_path: Path) -> None:
    pq.write_table(table(25), tmp_path / "a.parquet", row_group_size=10)
    reader = Parquet(path=str(tmp_path), batch_rows=4)
    assert [unit.items for unit in reader.units()] == [10, 10, 5]
    found = read_all(reader)
    assert list(found) == [f"a.parquet#{n}" for n in range(25)]
    assert text_of(found["a.parquet#17"]) == "c17" and kept(found)["a.parquet#17"].meta == {"score": 8.5}
    assert kept(read_all(Parquet(path=str(tmp_path), columns=("caption",))))["a.parquet#3"].media == {}


def test_a_damaged_file_or_group_is_counted_and_the_others_are_read(tmp_path: Path) -> None:
    pq.write_table(
        table(20), tmp_path / "good.parquet", row_group_size=10, compression="none", write_page_checksum=True
    )
    data = bytearray((tmp_path / "good.parquet").read_bytes())
    data[200] ^= 0xFF
    write(tmp_path / "bad.parquet", bytes(data))
    write(tmp_path / "cut.parquet", bytes(data[:-100]))
    write(tmp_path / "empty.parquet", b"")
    found = read_all(Parquet(path=str(tmp_path)))
    assert reasons(found)["cut.parquet"] == reasons(found)["empty.parquet"] == "unreadable_file"
    assert [why for name, why in reasons(found).items() if name.startswith("bad")] == ["unreadable_group"]
    assert len(kept(found)) == 20 + 10
