"""COCO: boxes as edges, captions with them, crowds and broken boxes as doubt, files that are none refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mimovl.curate.readers.coco import Coco
from mimovl.errors import DataError
from tests.curate.readers.reading import encoded, kept, read_all, reasons, write


def written(tmp_path: Path, annotations: list[dict[str, Any]], images: list[dict[str, Any]] | None = None) -> Coco:
    write(tmp_path / "img" / "1.png", encoded(1))
    whole = {
        "images": images or [{"id": 1, "file_name": "1.png"}],
        "categories": [{"id": 3, "name": "cat"}, {"id": 4, "name": "dog"}],
        "annotations": annotations,
    }
    write(tmp_path / "a.json", json.dumps(whole))
    captions = {"images": [{"id": 1, "file_name": "1.png"}], "annotations": [{"image_id": 1, "caption": " a cat "}]}
    write(tmp_path / "c.json", json.dumps(captions))
    return Coco(annotations=(str(tmp_path / "a.json"), str(tmp_path / "c.json")), images=str(tmp_path / "img"))


def test_boxes_become_edges_and_captions_texts(tmp_path: Path) -> None:
    reader = written(tmp_path, [{"image_id": 1, "category_id": 3, "bbox": [1, 2, 10, 5.5]}])
    sample = kept(read_all(reader))["coco/1"]
    assert sample.meta["objects"] == [{"label": "cat", "box": [1.0, 2.0, 11.0, 7.5]}]
    assert sample.meta["size"] == [40, 30] and sample.messages[0].text == "a cat"


def test_boxes_that_cannot_be_make_their_class_doubtful_and_are_named(tmp_path: Path) -> None:
    bad = [[1, 2, 3], None, "x", [5, 5, -2, 4], [5, 5, 0, 4], [90, 90, 5, 5], [1, 1, float("inf"), 2], [0, 0, "w", 1]]
    annotations = [{"image_id": 1, "category_id": 3, "bbox": box} for box in bad]
    annotations += [
        {"image_id": 1, "category_id": 4, "bbox": [1, 1, 60, 60]},
        {"image_id": 1, "category_id": 9, "bbox": [1, 1, 2, 2]},
    ]
    annotations += [
        {"image_id": 1, "category_id": 4, "bbox": [1, 1, 5, 5], "iscrowd": 1},
        {"image_id": 77, "bbox": [0, 0, 1, 1]},
    ]
    sample = kept(read_all(written(tmp_path, annotations)))["coco/1"]
    assert sample.meta["objects"] == [{"label": "dog", "box": [1.0, 1.0, 40.0, 30.0]}]
    assert sample.meta["doubtful"] == ["", "cat", "dog"]
    assert [why.partition(":")[0] for why in sample.meta["dropped_objects"]] == [
        "unreadable_box", "unreadable_box", "unreadable_box", "flipped_box", "empty_box", "outside_picture",
        "unreadable_box", "unreadable_box", "no_class_name",
    ]  # fmt: skip


def test_pictures_without_file_or_annotation_are_dropped(tmp_path: Path) -> None:
    images = [
        {"id": 1, "file_name": "1.png"},
        {"id": 2, "file_name": "2.png"},
        {"id": 3},
        {"id": 4, "file_name": "../a.json"},
    ]
    notes = [{"image_id": n, "category_id": 3, "bbox": [1, 1, 2, 2]} for n in (1, 3, 4)]
    assert reasons(read_all(written(tmp_path, notes, images))) == {
        "coco/2": "nothing_annotated", "coco/3": "no_file_name", "coco/4": "outside_folder"
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"images": 3}', '{"images": [{}]}', "\xff"])
def test_a_file_that_is_no_coco_is_refused_by_name(tmp_path: Path, text: str) -> None:
    file = write(tmp_path / "x.json", text)
    with pytest.raises(DataError, match=r"x\.json: not COCO's JSON"):
        Coco(annotations=(str(file),), images=str(tmp_path)).units()
    with pytest.raises(DataError, match="cannot be read"):
        Coco(annotations=(str(tmp_path / "no.json"),), images=str(tmp_path)).units()
