"""Pascal VOC as records with objects; what the importer drops is dropped here."""

from __future__ import annotations

from pathlib import Path

from mimovl.curate.readers.voc_reader import Voc
from tests.curate.readers.reading import encoded, kept, read_all, reasons, write
from tests.curate.readers.voc_folder import write_voc


def test_photos_are_records_with_their_objects(tmp_path: Path) -> None:
    write_voc(tmp_path, 5)
    found = kept(read_all(Voc(path=str(tmp_path), unit_files=2)))
    assert list(found) == [f"voc/p{n}" for n in range(5)]
    for sample in found.values():
        assert sample.meta["objects"] and len(sample.media) == 1
        width, height = sample.meta["size"]
        assert all(0 <= box["box"][0] < box["box"][2] <= width for box in sample.meta["objects"])
        assert all(0 <= box["box"][1] < box["box"][3] <= height for box in sample.meta["objects"])


def test_photos_that_cannot_be_used_have_the_importers_reasons(tmp_path: Path) -> None:
    write_voc(tmp_path, 1, broken={"bad": b"no photo"}, annotation={"torn": "<annotation>"})
    write(tmp_path / "images" / "lone.jpg", encoded(kind="JPEG"))
    assert reasons(read_all(Voc(path=str(tmp_path)))) == {
        "voc/bad": "not_an_image", "voc/lone": "missing_annotation", "voc/torn": "unreadable_annotation"
    }  # fmt: skip
