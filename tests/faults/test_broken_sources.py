"""A thousand broken files of every kind go through the runner: none stops it, each is counted, the good ones stay."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mimovl.curate.ask_objects import AskObjects
from mimovl.curate.deduplicate import Deduplicate
from mimovl.curate.picture_steps import CheckPictures, HashPictures
from mimovl.curate.pipeline import curate
from mimovl.curate.readers.coco import Coco
from mimovl.curate.readers.images import Images
from mimovl.curate.readers.json_lines import JsonLines
from mimovl.curate.readers.llava import Llava
from mimovl.curate.readers.parquet import Parquet
from mimovl.curate.readers.voc_reader import Voc
from mimovl.curate.readers.webdataset import WebDataset
from mimovl.curate.step import Dropped, Reader
from mimovl.store import Dataset
from tests.curate.readers.voc_folder import png_header, xml

KINDS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")


def pictures() -> list[bytes]:
    found = []
    for number, kind in enumerate(KINDS * 3):
        pixels = random.Random(number).randbytes(48 * 40 * 3)
        image = Image.frombytes("RGB", (48, 40), pixels).resize((96, 80))
        buffer = io.BytesIO()
        image.convert(("RGB", "L", "P")[number % 3]).save(buffer, kind)
        found.append(buffer.getvalue())
    return found


def damaged(data: bytes, rng: random.Random) -> bytes:
    """What happens to files: cut, emptied, bits flipped, a stretch lost, zeros, another's content."""
    match rng.randrange(7):
        case 0:
            return data[: rng.randrange(len(data))]
        case 1:
            return b""
        case 2:
            spoilt = bytearray(data)
            for _ in range(rng.randint(1, 30)):
                spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
            return bytes(spoilt)
        case 3:
            begin = rng.randrange(len(data))
            return data[:begin] + data[begin + rng.randrange(1, 200) :]
        case 4:
            return data[: len(data) // 2] + bytes(len(data) // 2)
        case 5:
            return rng.randbytes(rng.randrange(1, 3000))
        case _:
            return png_header(rng.choice([60_000, 1 << 30, 0]), 60_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("broken")
    rng = random.Random(5)
    good = pictures()
    (folder / "pictures").mkdir()
    for number in range(500):
        name = f"{number:03d}{rng.choice(['.jpg', '.png', '.webp', '.gif', '.tif'])}"
        (folder / "pictures" / name).write_bytes(damaged(rng.choice(good), rng))
        if number % 9 == 0:
            text = rng.choice([b"caption", b"\xff\xfe\x00", "ä".encode("latin-1"), b""])
            (folder / "pictures" / name).with_suffix(".txt").write_bytes(text)
    rows = [{"caption": "a", "image": f"pictures/{number:03d}.jpg"} for number in range(40)] + [
        {"messages": rng.choice([None, [], {}, "x", [{"role": "user"}], [[[]]]]), "image": 3} for _ in range(40)
    ]
    lines = [json.dumps(row).encode() for row in rows]
    for number in range(60):
        (folder / f"lines{number}.jsonl").write_bytes(damaged(b"\n".join(lines), rng))
        (folder / f"lines{number}.jsonl.gz").write_bytes(damaged(gzip.compress(b"\n".join(lines)), rng))
        (folder / f"list{number}.json").write_bytes(damaged(json.dumps(rows).encode(), rng))
    buffer = io.BytesIO()
    pq.write_table(pa.table({"caption": ["a"] * 50, "image": good[:10] * 5}), buffer, row_group_size=10)
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as packed:
        for number, data in enumerate(good):
            for end, content in (("png", data), ("json", b'{"caption": "x"}')):
                info = tarfile.TarInfo(f"{number}.{end}")
                info.size = len(content)
                packed.addfile(info, io.BytesIO(content))
    for number in range(120):
        (folder / f"{number}.parquet").write_bytes(damaged(buffer.getvalue(), rng))
        (folder / f"{number}.tar").write_bytes(damaged(tar.getvalue(), rng))
    (folder / "voc").mkdir()
    for number in range(100):
        (folder / "voc" / f"{number}.jpg").write_bytes(damaged(good[0], rng) if number % 2 else good[number % 6])
        spoilt = damaged(xml(size=(96, 80)).encode(), rng) if number % 3 else xml(size=(96, 80)).encode()
        (folder / "voc" / f"{number}.xml").write_bytes(spoilt)
    boxes = [[1, 1, 5, 5], [1, 2], None, ["a"] * 4, [1e308] * 4, [-5, -5, 2, 2], [3, 3, -1, 1], {}]
    coco = {
        "images": [{"id": n, "file_name": f"{n:03d}.jpg"} for n in range(40)]
        + [{"id": "x"}, {"id": 77, "file_name": 5}],
        "categories": [{"id": 1, "name": "cup"}, {"id": 2, "name": None}],
        "annotations": [{"image_id": n % 42, "category_id": n % 4, "bbox": rng.choice(boxes)} for n in range(200)],
    }
    (folder / "coco.json").write_text(json.dumps(coco))
    for number in range(10):  # and good ones among them
        (folder / "pictures" / f"good{number}.png").write_bytes(good[1 + number % 2 * 6])
    return folder


def readers(folder: Path) -> list[Reader]:
    return [
        Images(path=str(folder / "pictures")),
        JsonLines(path=str(folder), unit_bytes=2000),
        Llava(path=f"{folder}/list*.json"),
        Parquet(path=str(folder)),
        WebDataset(path=str(folder)),
        Voc(path=str(folder / "voc")),
        Coco(annotations=(str(folder / "coco.json"),), images=str(folder / "pictures")),
    ]


def test_every_broken_file_is_counted_and_nothing_stops_the_run(folder: Path, tmp_path: Path) -> None:
    steps = [CheckPictures(), Deduplicate(), HashPictures()]
    outcome = curate(readers(folder), steps, tmp_path / "out", workers=0)
    dataset = Dataset.open(tmp_path / "out")
    counts = outcome.manifest["counts"]
    rows = outcome.manifest["steps"]
    assert rows[0]["seen"] == counts["kept"] + sum(counts["dropped"].values()) == len(dataset) + len(dataset.drops())
    assert not {"reader_failed", "step_failed", "not_storable"} & set(counts["dropped"])
    assert len(dataset.drops()) >= 1000 and len(counts["dropped"]) >= 12
    assert all(drop.reason and drop.step for drop in dataset.drops())
    assert sum(1 for sample in dataset if sample.media) > 10


def test_each_file_is_met_by_its_reader(folder: Path) -> None:
    for reader in readers(folder):
        met = Counter(unit.name.rpartition("@")[0] or unit.name for unit in reader.units())
        answers = [record for unit in reader.units() for _, record in reader.read(unit)]
        assert met and answers and any(isinstance(one, Dropped) for one in answers), type(reader).__name__


def test_boxes_that_survive_can_be_asked_about(folder: Path, tmp_path: Path) -> None:
    outcome = curate([*readers(folder)[-2:]], [CheckPictures(), AskObjects()], tmp_path / "out", workers=0)
    assert outcome.manifest["counts"]["kept"] > 10
